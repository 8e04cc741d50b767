"""The report as a page: what was measured, beside the bars, and what was not."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

Figures = Mapping[str, Any]

PSNR_BAR_DB = 50.0
SD15_BAR, SD15_GOAL = 7.8, 10.9
"""Pictures/s of SD 1.5 at 512, 30 steps, guidance, on an H100 or H200: 0.5 and 0.7 of what the
arithmetic takes at 790 TFLOP/s."""

SDXL_BAR, SDXL_GOAL = 0.95, 1.3  # pictures/s at 1024, 30 steps
OVER_DIFFUSERS_BAR = 1.2  # the engine over diffusers, compiled, in batches of 8
MODES = {"diffusers": "as diffusers calls it", "recorded": "recorded", "compiled": "compiled"}
EXACTNESS = {
    "half_against_float32_db": "half precision against float32",
    "compiled_against_float32_db": "the same, compiled",
    "compiled_against_plain_db": "compiled against uncompiled, half precision",
    "recorded_against_plain_db": "U-Net calls replayed as CUDA graphs against plain ones",
    "float32_against_cpu_db": "float32 on this device against float32 on the CPU",
    "alone_against_together_db": "alone against in company, half precision",
}


def page_of(result: Figures) -> str:
    """Markdown. Sections that failed or were left out are named."""
    result = json.loads(json.dumps(result))
    parts = [
        head(result),
        bars(result),
        *(writer(result[name]) for name, writer in WRITERS.items() if is_there(result, name)),
        missing(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def is_there(result: Figures, name: str) -> bool:
    return name in result and "failed" not in result[name]


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(map(str, columns))]
    lines += [["---"] * len(lines[0]), *(list(map(str, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def head(result: Figures) -> str:
    machine = result["machine"]
    device = machine["gpu"] or "no GPU: tiny models on a CPU, to see that the report works"
    text = (
        "# darkroom on a GPU\n\n"
        f"Written by `make gpu-report` (`benchmarks/gpu_report.py`). Device: {device}. "
        f"Host: {machine['cores']} cores of {machine['cpu']}. torch {machine['torch']}."
    )
    if result.get("families") == ["small"]:
        return text
    text += (
        " Stable Diffusion 1.5, 2.1 and SDXL have random weights here: speed does not depend on "
        "their values. The engine does not serve SDXL yet: its rate is that of the engine with "
        "SDXL's U-Net and decoder, and a stand-in for its text encoders."
    )
    if is_there(result, "ceilings"):
        most = result["ceilings"]
        text += (
            f"\n\nThe device does matrix products of 8192 x 8192 at {most['matmul_tflops']:.0f} "
            f"TFLOP/s, and copies within its memory at {most['copy_tb_per_s']:.1f} TB/s."
        )
    return text


def bars(result: Figures) -> str:
    rows = []
    if is_there(result, "exactness"):
        rows.append(
            _bar(
                "float16 against float32, dB",
                result["exactness"]["half_against_float32_db"],
                PSNR_BAR_DB,
            )
        )
    if is_there(result, "pictures"):
        rates = result["pictures"]
        best = best_rate(rates)
        rows.append(_bar("SD 1.5, pictures/s in one process", best, SD15_BAR, SD15_GOAL))
        if "diffusers_compiled_batch" in rates:
            over = best / rates["diffusers_compiled_batch"]
            rows.append(
                _bar("the same over diffusers compiled, batches of 8", over, OVER_DIFFUSERS_BAR)
            )
    if is_there(result, "service"):
        best = max(each["pictures_per_s"] for each in result["service"].values())
        rows.append(_bar("SD 1.5, pictures/s through the API", best, SD15_BAR, SD15_GOAL))
    if is_there(result, "other families") and "SDXL" in result["other families"]:
        rate = result["other families"]["SDXL"]["pictures_per_s"]
        rows.append(_bar("SDXL, pictures/s in one process", rate, SDXL_BAR, SDXL_GOAL))
    if not rows:
        return ""
    return "## Bars\n\n" + table(("", "measured", "bar", "goal", ""), rows)


def _bar(name: str, found: float, bar: float, goal: float | None = None) -> list[str]:
    verdict = "PASS" if found >= bar else "MISS"
    return [name, f"{found:.2f}", f"{bar:g}", f"{goal:g}" if goal else "", verdict]


def best_rate(rates: Figures) -> float:
    """Of the engine, compiled or not."""
    modes = ("engine", "engine_compiled")
    return max(float(rates[mode]["pictures_per_s"]) for mode in modes if mode in rates)


def exactness(found: Figures) -> str:
    rows = [(text, f"{found[name]:.1f}") for name, text in EXACTNESS.items() if name in found]
    return (
        "## The same picture\n\nFour prompts of the starter, `dpmpp_2m_karras`, 30 steps, guidance "
        "7.5, developed together; PSNR of the 8-bit pictures, 100 for equal ones.\n\n"
        + table(("", "dB"), rows)
    )


def pictures(found: Figures) -> str:
    names = {
        "diffusers_one_by_one": "diffusers, one by one",
        "diffusers_batch": "diffusers, batches of equal requests",
        "diffusers_compiled_batch": "the same, U-Net and decoder compiled",
        "engine": "the engine, pictures in flight that began at different times",
        "engine_compiled": "the same, compiled",
    }
    rows = []
    for name, text in names.items():
        if name in found:
            each = found[name]
            rate = each["pictures_per_s"] if isinstance(each, dict) else each
            rows.append((text, f"{rate:.2f}"))
    return (
        "## Pictures a second, in one process\n\nSD 1.5 at 512 x 512, 30 steps, guidance 7.5, "
        "decoded.\n\n" + table(("", "pictures/s"), rows) + "\n\n" + _engine_shares(found)
    )


def _engine_shares(found: Figures) -> str:
    rows = []
    for name in ("engine", "engine_compiled"):
        if name in found:
            each = found[name]
            rows.append(
                (
                    name.replace("_", ", "),
                    each["rows"],
                    f"{each['ms_per_step']:.1f}",
                    f"{each['step_share']:.2f}",
                    f"{each['decode_share']:.2f}",
                    f"{each['peak_gb']:.1f}",
                )
            )
    columns = ("", "rows", "ms a step", "share in steps", "share in decoding", "peak GB")
    return table(columns, rows)


def service(found: Figures) -> str:
    rows = [
        (
            name,
            f"{each['pictures_per_s']:.2f}",
            f"{each['as_seen']['pictures_per_s']:.2f}",
            f"{each['as_seen']['total_p50_s']:.2f}",
            f"{each['ready_s']:.0f}",
        )
        for name, each in found.items()
    ]
    return (
        "## Through the API\n\n`darkroom run` with that checkpoint; callers who post, wait, and "
        "fetch the PNG, a quarter more of them than pictures are in flight.\n\n"
        + table(
            ("", "pictures/s", "as callers saw it", "median s from POST to PNG", "s until ready"),
            rows,
        )
    )


def unets(found: Figures) -> str:
    return "## U-Net calls\n\n" + _calls(found, "rows")


def decoders(found: Figures) -> str:
    return "## Decoder calls\n\n" + _calls(found, "pictures")


def _calls(found: Figures, counted: str) -> str:
    parts = []
    for family, figures in found.items():
        times, rates = figures["seconds"], figures["tflops"]
        modes = [mode for mode in MODES if mode in times]
        rows = [
            (size, *(f"{1000 * times[mode][size]:.1f} ({rates[mode][size]:.0f})" for mode in modes))
            for size in times[modes[0]]
        ]
        parts.append(
            f"{family}: milliseconds a call, TFLOP/s in brackets; at most "
            f"{figures['peak_gb']:.1f} GB.\n\n"
            + table((counted, *(MODES[mode] for mode in modes)), rows)
        )
    return "\n\n".join(parts)


def attention(found: Figures) -> str:
    ways = list(next(iter(found.values())))
    rows = [
        (family, *("cannot" if each is None else f"{1000 * each:.1f}" for each in by_way.values()))
        for family, by_way in found.items()
    ]
    return (
        "## Ways to compute attention\n\nMilliseconds of the largest U-Net call, uncompiled.\n\n"
        + table(("", *ways), rows)
    )


def other_families(found: Figures) -> str:
    rows = [
        (
            family,
            each["rows"],
            f"{each['pictures_per_s']:.2f}",
            f"{each['ms_per_step']:.0f}",
            f"{each['decode_share']:.2f}",
            f"{each['peak_gb']:.1f}",
        )
        for family, each in found.items()
    ]
    columns = ("", "rows", "pictures/s", "ms a step", "share in decoding", "peak GB")
    return "## Other families in the engine\n\n" + table(columns, rows)


def policies(found: Figures) -> str:
    rows = [
        (
            name,
            f"{each['found']:.2f}",
            each.get("at least", ""),
            each.get("at most", ""),
            each["bar"],
        )
        for name, each in found["bars"].items()
    ]
    return (
        "## Policies\n\nThe engine over batches of equal requests, on the same arrivals "
        f"(`benchmarks/policies.py`), {found['rows']} rows at most.\n\n"
        + table(("", "ratio", "at least", "at most", ""), rows)
    )


def kernels(found: Figures) -> str:
    rows = [
        (
            f"`{name}`",
            f"{taken / found['steps']:.2f}",
            f"{taken / found['all_ms']:.1%}",
            count // found["steps"],
        )
        for name, (taken, count) in found["ms"].items()
    ]
    return f"## Kernels of a step\n\nOf {found['rows']} rows.\n\n" + table(
        ("kernel", "ms", "share", "calls"), rows
    )


def missing(result: Figures) -> str:
    failed = [name for name, each in result.items() if isinstance(each, dict) and "failed" in each]
    left_out = result.get("left out", [])
    lines = []
    if failed:
        lines.append(f"Failed: {', '.join(failed)}; the JSON says how.")
    if left_out:
        lines.append(f"Left out, for want of time (`--minutes`): {', '.join(left_out)}.")
    return "## Not measured\n\n" + "\n\n".join(lines) if lines else ""


WRITERS = {
    "exactness": exactness,
    "pictures": pictures,
    "service": service,
    "other families": other_families,
    "policies": policies,
    "unets": unets,
    "decoders": decoders,
    "attention": attention,
    "kernels": kernels,
}
