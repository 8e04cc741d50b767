"""The report as a page: what was measured, beside the bars, and what was not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markdown_table import table

from gpu.sections import WRITERS, Figures, best_rate, tflops

PSNR_BAR_DB = 50.0
FLOOR_TFLOPS = 790.0
"""What such a card sustains in products of half precision: at this rate the arithmetic alone would
take as long as the floor."""

SD15_BAR, SD15_GOAL = 7.8, 10.9
"""Pictures/s of SD 1.5 at 512, 30 steps, guidance, on an H100 or H200: 0.5 and 0.7 of the floor."""

SDXL_BAR, SDXL_GOAL = 0.95, 1.3  # pictures/s at 1024, 30 steps
OVER_DIFFUSERS_BAR = 1.2  # the engine over diffusers, compiled, in batches of 8


def page_of(result: Figures) -> str:
    """Markdown. Sections that failed or were left out are named."""
    result = json.loads(json.dumps(result))
    parts = [
        head(result),
        bars(result),
        *(writer(result) for name, writer in WRITERS.items() if result.get(name)),
        missing(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(result: Figures) -> str:
    machine = result["machine"]
    device = machine["gpu"] or "no GPU: tiny models on a CPU, to see that the report works"
    text = (
        "# darkroom on a GPU\n\n"
        f"Written by `make gpu-report` (`benchmarks/gpu_report.py`). Device: {device}. "
        f"Host: {machine['cores']} cores of {machine['cpu']}."
    )
    if result.get("families") != ["small"]:
        text += (
            " Stable Diffusion 1.5, 2.1 and SDXL have random weights here: speed does not depend "
            "on their values. The engine does not serve SDXL yet: its rate is that of the engine "
            "with SDXL's U-Net and decoder, and a stand-in for its text encoders."
        )
    others = {name: told for name, told in machine.items() if name not in ("gpu", "cpu", "cores")}
    text += "\n\n" + ", ".join(f"{name} {told}" for name, told in others.items()) + "."
    if most := result.get("ceilings"):
        text += (
            f"\n\nThe device does matrix products at {most['matmul_tflops']:.0f} TFLOP/s, of which "
            "the shares below are, and copies within its memory at "
            f"{most['copy_tb_per_s']:.1f} TB/s. The floor is what the arithmetic alone would take "
            f"at {FLOOR_TFLOPS:.0f} TFLOP/s."
        )
    return text


def bars(result: Figures) -> str:
    rows = list(_bars(result))
    if not rows:
        return ""
    return "## Bars\n\n" + table(("", "measured", "bar", "goal", ""), rows)


def _bars(result: Figures) -> Iterator[list[str]]:
    half = result.get("exactness", {}).get("half_against_float32_db")
    if half is not None:
        yield _bar("half precision against float32, dB", half, PSNR_BAR_DB)
    rates = result.get("pictures", {})
    for family, bar, goal in (("SD 1.5", SD15_BAR, SD15_GOAL), ("SDXL", SDXL_BAR, SDXL_GOAL)):
        best = best_rate(rates.get(family, {}))
        if best is not None:
            yield _bar(f"{family}, pictures/s in one process", best, bar, goal)
            share = tflops(rates[family], best) / FLOOR_TFLOPS
            yield [f"{family}, of the floor", f"{share:.2f}", "", "", ""]
    for family, found in rates.items():
        best, theirs = best_rate(found), found.get("diffusers_compiled_batch")
        if best is not None and theirs is not None:
            name = f"{family}, the engine over diffusers compiled, batches of {theirs['batch']}"
            yield _bar(name, best / theirs["pictures_per_s"], OVER_DIFFUSERS_BAR)
    if result.get("service") and result.get("families") != ["small"]:
        best = max(each["pictures_per_s"] for each in result["service"].values())
        yield _bar("SD 1.5, pictures/s through the API", best, SD15_BAR, SD15_GOAL)


def _bar(name: str, found: float, bar: float, goal: float | None = None) -> list[str]:
    verdict = "PASS" if found >= bar else "MISS"
    return [name, f"{found:.2f}", f"{bar:g}", f"{goal:g}" if goal else "", verdict]


def missing(result: Figures) -> str:
    told: Mapping[str, Any] = result.get("sections", {})
    failed = [name for name, each in told.items() if "failed" in each]
    left_out = {name: each["left_out"] for name, each in told.items() if "left_out" in each}
    lines = []
    if failed:
        lines.append(f"Failed: {', '.join(failed)}; the JSON says how.")
    if left_out:
        lines.append(
            "Left out, for want of time (`--minutes`; `--rest` adds them): "
            + ", ".join(f"{name}, about {taken:.0f} s" for name, taken in left_out.items())
            + "."
        )
    return "## Not measured\n\n" + "\n\n".join(lines) if lines else ""
