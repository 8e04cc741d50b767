"""What bfloat16 costs in pictures: PSNR against float32, the engine's beside diffusers' own.

    python benchmarks/dtype_noise.py [--samplers NAME ...] [--json FILE]

Eight prompts at 30 steps and guidance 7.5 by each sampler, in one batch of the engine and one of
diffusers, in either dtype. What diffusers loses is the sampler's doing and the model's; the engine
is to lose no more.

Bar: at the default sampler the worst picture of the engine has 30 dB.
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from given import STARTER, checkpoint, new_file, whole
from likeness import psnr
from machine import machine
from numpy.typing import NDArray
from prompts import PROMPTS

from contract.samplers import DEFAULT_SAMPLER, SAMPLERS
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.picture import Picture
from worker.engine.sampler import build_table

sys.path.insert(0, str(Path(__file__).parent.parent))  # where tests/ is

STEPS = 30
GUIDANCE = 7.5
LEAST_DB = 30.0

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Noise:
    """PSNR of the pictures against those in float32, in dB."""

    worst: float
    median: float


def noise(found: list[Pixels], expected: list[Pixels]) -> Noise:
    values = [psnr(one, other) for one, other in zip(found, expected, strict=True)]
    return Noise(min(values), statistics.median(values))


def by_engine(model: Model, sampler: str, steps: int = STEPS) -> list[Pixels]:
    """All prompts in one batch."""
    engine = Engine(model, RowBudget(2 * len(PROMPTS), model.native_shape))
    table = build_table(sampler, steps, model.scheduler_config)
    for n, prompt in enumerate(PROMPTS):
        engine.add(Picture(n, prompt, "", GUIDANCE, n, *model.native_size, table))
    pictures: dict[object, Pixels] = {}
    while not engine.is_idle:
        report = engine.step()
        if report.spoiled:
            raise report.spoiled[0].error
        pictures |= {made.key: made.pixels for made in report.developed}
    return [pictures[n] for n in range(len(PROMPTS))]


def by_diffusers(model: Model, sampler: str, steps: int = STEPS) -> list[Pixels]:
    """All prompts in one batch."""
    from tests.reference import diffusers_pipeline  # late: it remarks on what we do not use

    images = diffusers_pipeline(model, sampler)(
        prompt=list(PROMPTS),
        negative_prompt=[""] * len(PROMPTS),
        guidance_scale=GUIDANCE,
        num_inference_steps=steps,
        generator=[torch.Generator().manual_seed(n) for n in range(len(PROMPTS))],
        output_type="pil",
    ).images
    return [np.asarray(image) for image in images]


def compare(exact: Model, rough: Model, sampler: str, steps: int = STEPS) -> dict[str, Noise]:
    """By who made the pictures: the engine, diffusers."""
    return {
        "engine": noise(by_engine(rough, sampler, steps), by_engine(exact, sampler, steps)),
        "diffusers": noise(
            by_diffusers(rough, sampler, steps), by_diffusers(exact, sampler, steps)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--steps", type=whole, default=STEPS)
    parser.add_argument("--threads", type=whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    exact, rough = (
        load_model(options.checkpoint, torch.device("cpu"), dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    result = {}
    print("bfloat16 against float32, dB: engine's worst, median; diffusers' worst, median")
    for sampler in options.samplers:
        found = compare(exact, rough, sampler, options.steps)
        result[sampler] = {name: asdict(each) for name, each in found.items()}
        values = [value for each in found.values() for value in (each.worst, each.median)]
        print(f"  {sampler:18}" + "".join(f"{value:7.1f}" for value in values), flush=True)
    if DEFAULT_SAMPLER in result:
        worst = result[DEFAULT_SAMPLER]["engine"]["worst"]
        verdict = "PASS" if worst >= LEAST_DB else "MISS"
        print(f"{DEFAULT_SAMPLER}: {worst:.1f} dB (bar: {LEAST_DB:.0f}): {verdict}")
    if options.json:
        content = {"machine": machine()} | result
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
