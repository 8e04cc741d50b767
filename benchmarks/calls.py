"""Ways to call the U-Net, beside each other: any number of rows, fixed row counts, compiled.

    python benchmarks/calls.py [--dtype float32] [--ways NAME ...] [--json FILE]

For each way: seconds until it is ready, which is mostly compiling (a second run finds that in the
cache: DARKROOM_COMPILE_CACHE), and milliseconds a call. Ways are taken in turns; medians of rounds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from engine import machine

from worker.compilation import keep_compiled
from worker.engine.call_options import CallOptions
from worker.engine.model import Model, load_model
from worker.engine.row_plan import RowPlan
from worker.engine.unet_timing import unet_seconds
from worker.settings import WorkerSettings

FIXED = 8
BUCKETS = (1, 2, 4, 8, 16)

WAYS: dict[str, Callable[[tuple[int, ...]], CallOptions]] = {
    "as they come": lambda _: CallOptions(),
    f"fixed at {FIXED}": lambda _: CallOptions(fixed_rows=FIXED),
    "fixed at 1": lambda _: CallOptions(fixed_rows=1),
    "fused": lambda _: CallOptions(fused=True),
    "compiled, any count": lambda _: CallOptions(compiles=True),
    "compiled, each count": lambda counts: CallOptions(compiles=True, plan=RowPlan(counts)),
}


def ready(options: CallOptions, checkpoint: Path, dtype: torch.dtype) -> tuple[Model, float]:
    """The model, each of its row counts called, and the seconds that those calls took."""
    model = load_model(checkpoint, torch.device("cpu"), dtype, options)
    began = time.perf_counter()
    counts = options.plan.counts if options.plan else (2,)
    seconds = {rows: unet_seconds(model, rows, model.native_shape) for rows in counts}
    taken = time.perf_counter() - began
    if options.plan:
        options.plan.learn(seconds)
    return model, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 6, 16])
    parser.add_argument("--buckets", type=int, nargs="+", default=BUCKETS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    chosen = {"threads": options.threads} if options.threads else {}
    settings = WorkerSettings(dtype=options.dtype, **chosen)
    torch.set_num_threads(settings.threads)
    keep_compiled(settings.compile_cache)
    models, ready_s = {}, {}
    for way in options.ways:
        called = WAYS[way](tuple(options.buckets))
        dtype = getattr(torch, options.dtype)
        models[way], ready_s[way] = ready(called, settings.checkpoint, dtype)
        print(f"{way}: ready in {ready_s[way]:.1f} s", flush=True)
    taken: dict[str, dict[int, list[float]]] = {
        way: {rows: [] for rows in options.rows} for way in models
    }
    for _ in range(options.rounds):
        for way, model in models.items():
            for rows in options.rows:
                taken[way][rows].append(unet_seconds(model, rows, model.native_shape))
    milliseconds = {
        way: {rows: 1000 * statistics.median(each) for rows, each in by_rows.items()}
        for way, by_rows in taken.items()
    }
    for way, by_rows in milliseconds.items():
        print(f"{way:24}", *(f"{rows:3d} rows {ms:8.1f} ms" for rows, ms in by_rows.items()))
    if options.json:
        result = {"dtype": options.dtype, "ready_s": ready_s, "milliseconds": milliseconds}
        options.json.write_text(json.dumps({"machine": machine()} | result, indent=2) + "\n")


if __name__ == "__main__":
    main()
