"""The ways in which a CPU can hold and call a model, beside each other in one process.

    python benchmarks/cpu_modes.py [--rounds 5] [--only NAME,NAME] [--json FILE]

dtype, memory layout, fused projections of the attention, and torch.compile: bare U-Net calls of 2
and 16 rows, a step of the engine at 16 rows, and the decoder, all modes in turns. Ratios are
medians of rounds, against the first mode of the same round. Compiling takes minutes the first time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.picture import Picture
from worker.engine.sampler import build_table

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.cpu_environments import timed

ROWS = (2, 16)
STEPS = 8


@dataclass(frozen=True, slots=True)
class Mode:
    dtype: torch.dtype
    channels_last: bool = False
    fused: bool = False  # query, key and value by one product, where diffusers can
    compiled: bool = False

    def load(self, checkpoint: Path) -> Model:
        options = CallOptions(
            compiles=self.compiled, channels_last=self.channels_last, fused=self.fused
        )
        return load_model(checkpoint, torch.device("cpu"), self.dtype, options)


MODES = {
    "float32": Mode(torch.float32),
    "float32, channels_last": Mode(torch.float32, channels_last=True),
    "float32, fused QKV": Mode(torch.float32, fused=True),
    "float32, compiled": Mode(torch.float32, compiled=True),
    "bfloat16": Mode(torch.bfloat16),
    "bfloat16, channels_last": Mode(torch.bfloat16, channels_last=True),
    "bfloat16, fused QKV": Mode(torch.bfloat16, fused=True),
    "bfloat16, compiled": Mode(torch.bfloat16, compiled=True),
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
        print(f"  {name:28}" + " ".join(f"{factor * values[call]:9.2f}" for call in calls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("models/starter"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each kind of call")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="these modes, separated by semicolons")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    benches, ready = {}, {}
    for name, mode in MODES.items():
        if options.only and name not in options.only.split(";"):
            continue
        began = time.perf_counter()
        benches[name] = Bench(mode, options.checkpoint)
        benches[name].seconds(0)  # compiles, and warms up
        ready[name] = time.perf_counter() - began
        print(f"{name}: ready in {ready[name]:.0f} s", flush=True)
    rounds = []
    for n in range(options.rounds):
        rounds.append({name: bench.seconds(options.seconds) for name, bench in benches.items()})
        print(f"round {n + 1} of {options.rounds}", flush=True)
    result = {
        "threads": options.threads,
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
