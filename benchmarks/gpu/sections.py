"""What the sections of a report found, each as a chapter of its page."""

from collections.abc import Mapping
from typing import Any

from markdown_table import table

Figures = Mapping[str, Any]

MODES = {
    "diffusers": "as diffusers calls it",
    "recorded": "recorded",
    "compiled": "compiled for any number",
    "compiled_by_count": "compiled for each",
}
ENGINE = {
    "engine": "the engine, pictures in flight that began at different times",
    "engine_compiled": "the same, compiled for any number of rows",
    "engine_compiled_by_count": "the same, compiled for a few row counts",
}
RATES = {
    "diffusers_one_by_one": "diffusers, one by one",
    "diffusers_batch": "diffusers, batches of equal requests",
    "diffusers_compiled_batch": "the same, U-Net and decoder compiled",
    **ENGINE,
}
EXACTNESS = {
    "half_against_float32_db": "half precision against float32",
    "compiled_against_float32_db": "the same, compiled",
    "compiled_against_plain_db": "compiled against uncompiled, half precision",
    "recorded_against_plain_db": "U-Net calls replayed as CUDA graphs against plain ones",
    "float32_against_cpu_db": "float32 on this device against float32 on the CPU",
    "alone_against_together_db": "alone against in company, half precision",
}
KERNEL_NAME = 90  # characters of it


def best_rate(rates: Figures) -> float | None:
    """Of the engine, compiled or not."""
    return max((rates[mode]["pictures_per_s"] for mode in ENGINE if mode in rates), default=None)


def tflops(rates: Figures, pictures_per_s: float) -> float:
    return float(pictures_per_s * rates["gigaflop_per_picture"] / 1000)


def share(result: Figures, rate: float) -> str:
    """Of the measured matrix products, in TFLOP/s."""
    most = result.get("ceilings", {}).get("matmul_tflops")
    return f"{rate / most:.0%}" if most else ""


def exactness(result: Figures) -> str:
    found = result["exactness"]
    rows = [(text, f"{found[name]:.1f}") for name, text in EXACTNESS.items() if name in found]
    return (
        "## The same picture\n\nFour prompts of the starter, `dpmpp_2m_karras`, 30 steps, guidance "
        "7.5, developed together; PSNR of the 8-bit pictures, 100 for equal ones.\n\n"
        + table(("", "dB"), rows)
    )


def pictures(result: Figures) -> str:
    rows = []
    for family, found in result["pictures"].items():
        for name, text in RATES.items():
            if name in found:
                per_s = found[name]["pictures_per_s"]
                rate = tflops(found, per_s)
                rows.append((family, text, f"{per_s:.2f}", f"{rate:.0f}", share(result, rate)))
    columns = ("", "", "pictures/s", "TFLOP/s", "of the matrix products")
    return (
        "## Pictures a second, in one process\n\nOf the native size, 30 steps, guidance 7.5, "
        "decoded.\n\n" + table(columns, rows) + "\n\n" + _engine(result["pictures"])
    )


def _engine(families: Figures) -> str:
    rows = [
        (
            family,
            name.replace("_", " "),
            " + ".join(map(str, each.get("calls", [each["rows"]]))),
            f"{each['ms_per_step']:.1f}",
            f"{each['step_share']:.2f}",
            f"{each['decode_share']:.2f}",
            f"{each['peak_gb']:.1f}",
            f"{each['compiled_in_s']:.0f}" if "compiled_in_s" in each else "",
        )
        for family, found in families.items()
        for name, each in found.items()
        if name in ENGINE
    ]
    columns = ("", "", "rows", "ms a step", "share in steps", "share in decoding", "peak GB")
    return table((*columns, "s to compile"), rows)


def service(result: Figures) -> str:
    rows = [
        (
            name,
            f"{each['pictures_per_s']:.2f}",
            f"{each['as_seen']['pictures_per_s']:.2f}",
            f"{each['as_seen']['total_p50_s']:.2f}",
            f"{each['ready_s']:.0f}",
        )
        for name, each in result["service"].items()
    ]
    return (
        "## Through the API\n\n`darkroom run` with a checkpoint of the first family; callers who "
        "post, wait, and fetch the PNG, a quarter more of them than pictures are in flight.\n\n"
        + table(
            ("", "pictures/s", "as callers saw it", "median s from POST to PNG", "s until ready"),
            rows,
        )
    )


def unets(result: Figures) -> str:
    return "## U-Net calls\n\n" + _calls(result, "unets", "rows")


def decoders(result: Figures) -> str:
    return "## Decoder calls\n\n" + _calls(result, "decoders", "pictures")


def _calls(result: Figures, part: str, counted: str) -> str:
    parts = []
    for family, figures in result[part].items():
        times, rates = figures["seconds"], figures["tflops"]
        modes = [mode for mode in MODES if mode in times]
        sizes = sorted({size for mode in modes for size in times[mode]}, key=int)
        rows = [
            (size, *(_call(result, times[mode], rates[mode], size) for mode in modes))
            for size in sizes
        ]
        most = f"; at most {figures['peak_gb']:.1f} GB uncompiled" if "peak_gb" in figures else ""
        parts.append(
            f"{family}: milliseconds a call; TFLOP/s and their share of the matrix products in "
            f"brackets{most}.\n\n" + table((counted, *(MODES[mode] for mode in modes)), rows)
        )
    return "\n\n".join(parts)


def _call(result: Figures, times: Figures, rates: Figures, size: str) -> str:
    if size not in times:
        return ""
    of_most = share(result, rates[size])
    return f"{1000 * times[size]:.1f} ({rates[size]:.0f}{', ' if of_most else ''}{of_most})"


def memory(result: Figures) -> str:
    rows = [
        (
            f"{gb} GB",
            f"{each['limit_gb']:.2f}",
            f"{each['model_gb']:.2f}",
            each["rows"],
            each["decoded_at_once"],
            each["largest_side"],
            f"{each['peak_gb']:.2f}",
            f"{each['peak_gb'] / each['limit_gb']:.0%}",
            each["failed"],
        )
        for gb, each in result["memory"].items()
    ]
    columns = ("card", "may take GB", "model GB", "rows", "decoded at once", "largest side")
    return (
        "## Memory\n\nSmaller cards, played by this one: torch gives no more than they may take. "
        "As many rows as the worker's plan has room for, all of them in use, and pictures decoded "
        "beside them.\n\n" + table((*columns, "peak GB", "of what it may take", "failed"), rows)
    )


def attention(result: Figures) -> str:
    found = result["attention"]
    ways = list(next(iter(found.values())))
    rows = [
        (family, *("cannot" if each is None else f"{1000 * each:.1f}" for each in by_way.values()))
        for family, by_way in found.items()
    ]
    return (
        "## Ways to compute attention\n\nMilliseconds of the largest U-Net call, uncompiled.\n\n"
        + table(("", *ways), rows)
    )


def policies(result: Figures) -> str:
    found = result["policies"]
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
        f"(`benchmarks/policies.py`), {found['rows']} rows at most; pictures of both differ by "
        f"{found['exactness_of_255']} of 255 at most.\n\n"
        + table(("", "ratio", "at least", "at most", ""), rows)
    )


def kernels(result: Figures) -> str:
    found = result["kernels"]
    rows = [
        (
            f"`{name[:KERNEL_NAME]}`",
            f"{taken / found['steps']:.2f}",
            f"{taken / found['all_ms']:.1%}",
            count // found["steps"],
        )
        for name, (taken, count) in found["ms"].items()
    ]
    return (
        f"## Kernels of a step\n\nOf {found['rows']} rows, uncompiled: "
        f"{found['all_ms'] / found['steps']:.1f} ms of the device.\n\n"
        + table(("kernel", "ms", "share", "calls"), rows)
    )


WRITERS = {
    "exactness": exactness,
    "pictures": pictures,
    "service": service,
    "policies": policies,
    "unets": unets,
    "decoders": decoders,
    "memory": memory,
    "attention": attention,
    "kernels": kernels,
}
"""In the order of the page, by the part of the report that they tell of."""
