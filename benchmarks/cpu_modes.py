"""The ways in which a CPU can hold and call a model, beside each other in one process.

    python benchmarks/cpu_modes.py [--rounds 5] [--only MODE ...] [--json FILE]

dtype, memory layout, fused projections of the attention, fixed row counts, and torch.compile, for
any number of rows or for a few counts: bare U-Net calls of 2 and 16 rows, a step of the engine at
16 rows, and the decoder, all modes in turns. Ratios are medians of rounds, against the first mode
of the same round. Compiling takes minutes the first time, and is found in the worker's cache
(DARKROOM_COMPILE_CACHE) after that; how long each mode took to be ready is in the JSON.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from given import STARTER, checkpoint, new_file, whole
from machine import machine
from torch import Tensor

from worker.compilation import keep_compiled
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.picture import Picture
from worker.engine.row_plan import RowPlan
from worker.engine.sampler import build_table
from worker.engine.unet_timing import unet_seconds
from worker.settings import WorkerSettings

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.cpu_environments import timed

ROWS = (2, 16)
STEPS = 8


BUCKETS = (2, 8, 16)


@dataclass(frozen=True, slots=True)
class Mode:
    dtype: torch.dtype
    options: CallOptions = field(default_factory=CallOptions)

    def load(self, checkpoint: Path) -> Model:
        """Ready to be timed: a plan of row counts knows how long each takes."""
        model = load_model(checkpoint, torch.device("cpu"), self.dtype, self.options)
        plan, shape = self.options.plan, model.native_shape
        if plan is not None:
            plan.learn({rows: unet_seconds(model, rows, shape) for rows in plan.counts})
        return model


OPTIONS: Mapping[str, CallOptions] = {
    "as it comes": CallOptions(),
    "channels_last": CallOptions(channels_last=True),
    "not channels_last": CallOptions(channels_last=False),
    "fused QKV": CallOptions(fused=True),
    "calls of 8 rows": CallOptions(fixed_rows=8),
    "calls of 1 row": CallOptions(fixed_rows=1),
    "compiled": CallOptions(compiles=True),
    "compiled for each row count": CallOptions(compiles=True, plan=RowPlan(BUCKETS)),
}
DTYPES = (torch.float32, torch.bfloat16)
MODES = {
    f"{str(dtype).removeprefix('torch.')}, {name}": Mode(dtype, options)
    for dtype in DTYPES
    for name, options in OPTIONS.items()
}


class Bench:
    """One mode's model, and what is timed of it."""

    def __init__(self, mode: Mode, checkpoint: Path):
        self.model = mode.load(checkpoint)
        self.engine = Engine(self.model, RowBudget(max(ROWS), self.model.native_shape))
        self.table = build_table("lms", STEPS, self.model.scheduler_config)

    @torch.inference_mode()
    def seconds(self, enough: float) -> dict[str, float]:
        found = {f"U-Net, {rows} rows": timed(self._unet(rows), enough)[0] for rows in ROWS}
        found["decoder, 1 picture"] = timed(self._decoder(1), enough)[0]
        found["decoder, 8 pictures"] = timed(self._decoder(8), enough)[0]
        found[f"engine step, {max(ROWS)} rows"] = self.step()
        return found

    def _unet(self, rows: int) -> Callable[[], Tensor]:
        latents, timesteps, conditioning = inputs(self.model, rows)
        return lambda: self.model.predict(latents, timesteps, conditioning)

    def _decoder(self, pictures: int) -> Callable[[], Tensor]:
        latents = inputs(self.model, pictures)[0]
        return lambda: self.model.decode(latents)

    def step(self) -> float:
        """The median over the steps of a full engine but the first."""
        width, height = self.model.native_size
        for n in range(max(ROWS) // 2):
            self.engine.add(Picture(n, "red apple", "", 7.5, n, width, height, self.table))
        steps = []
        while not self.engine.is_idle:
            steps.append(self.engine.step().step_s)
        return statistics.median(steps[1:])


def inputs(model: Model, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and conditioning of a U-Net call of the native size."""
    width = model.unet.config.cross_attention_dim
    return (
        torch.randn(rows, model.latent_channels, *model.native_shape),
        torch.full((rows,), 500.0),
        torch.zeros(rows, model.token_limit, width, dtype=model.dtype),
    )


def over_first(round_: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Seconds of each mode over those of the first, by call."""
    first = next(iter(round_.values()))
    return {
        name: {call: seconds / first[call] for call, seconds in calls.items()}
        for name, calls in round_.items()
    }


def medians(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {call: statistics.median(r[name][call] for r in rounds) for call in calls}
        for name, calls in rounds[0].items()
    }


def show(title: str, table: dict[str, dict[str, float]], factor: float) -> None:
    calls = list(next(iter(table.values())))
    print(f"\n{title}: " + "; ".join(calls))
    for name, values in table.items():
        print(f"  {name:40}" + " ".join(f"{factor * values[call]:9.2f}" for call in calls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--rounds", type=whole, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each kind of call")
    parser.add_argument("--threads", type=whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", choices=MODES, default=list(MODES), metavar="MODE")
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_compiled(WorkerSettings().compile_cache)
    benches, ready = {}, {}
    for name in options.only:
        began = time.perf_counter()
        benches[name] = Bench(MODES[name], options.checkpoint)
        benches[name].seconds(0)  # compiles, and warms up
        ready[name] = time.perf_counter() - began
        print(f"{name}: ready in {ready[name]:.0f} s", flush=True)
    rounds = []
    for n in range(options.rounds):
        rounds.append({name: bench.seconds(options.seconds) for name, bench in benches.items()})
        print(f"round {n + 1} of {options.rounds}", flush=True)
    result = {
        "machine": machine(),
        "ready_s": ready,
        "seconds": medians(rounds),
        "over_first": medians([over_first(each) for each in rounds]),
    }
    show("milliseconds", result["seconds"], 1000)
    show(f"time over {next(iter(benches))}", result["over_first"], 1)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
