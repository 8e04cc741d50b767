"""What a guidance interval changes in the pictures of a checkpoint, and what it saves.

    python benchmarks/guidance_interval.py [--checkpoint FOLDER] [--json FILE] [--sheet FILE]

Pictures: 8 prompts in full and with each interval, compared as PSNR; the sheet shows them, a row
for each interval. Speed: the engine at its row budget with more pictures waiting than it has room
for, in full and with guidance up to 0.6 in turns, in pictures per second.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from given import STARTER, checkpoint, new_file, whole
from likeness import psnr
from machine import machine
from numpy.typing import NDArray
from PIL import Image
from prompts import PROMPTS

from contract.rows import guided_steps
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Picture
from worker.engine.sampler import SamplerTable, build_table
from worker.settings import WorkerSettings
from worker.start import start_engine

SAMPLER, STEPS, GUIDANCE = "dpmpp_2m_karras", 30, 7.5
PACE = 3  # steps from one picture to the next, until pictures of all ages are there


@dataclass(frozen=True, slots=True)
class Interval:
    start: float
    stop: float

    def __str__(self) -> str:
        return f"{self.start:g} to {self.stop:g}"

    @property
    def row_steps(self) -> int:
        return STEPS + len(guided_steps(GUIDANCE, self.start, self.stop, STEPS))


FULL = Interval(0.0, 1.0)
INTERVALS = (Interval(0.0, 0.8), Interval(0.0, 0.6), Interval(0.2, 1.0), Interval(0.2, 0.8))
TIMED = (FULL, Interval(0.0, 0.6))
Pictures = Sequence[NDArray[np.uint8]]


def picture(model: Model, table: SamplerTable, key: int, interval: Interval) -> Picture:
    width, height = model.native_size
    guided = table.evaluations(guided_steps(GUIDANCE, interval.start, interval.stop, STEPS))
    return Picture(
        key=key,
        prompt=PROMPTS[key % len(PROMPTS)],
        negative_prompt="",
        guidance=GUIDANCE,
        seed=key,
        width=width,
        height=height,
        table=table,
        guided_from=guided.start,
        guided_until=guided.stop,
    )


def draw(engine: Engine, table: SamplerTable, interval: Interval) -> Pictures:
    """A picture for each prompt."""
    for key in range(len(PROMPTS)):
        engine.add(picture(engine.model, table, key, interval))
    made: dict[object, NDArray[np.uint8]] = {}
    while not engine.is_idle:
        made |= {each.key: each.pixels for each in engine.step().developed}
    return [made[key] for key in range(len(PROMPTS))]


def pictures_per_s(engine: Engine, table: SamplerTable, interval: Interval, steps: int) -> float:
    """Of a full engine, over so many of its steps; parts of pictures count as such."""
    keys = count()
    for n in range(STEPS):
        if n % PACE == 0:
            engine.add(picture(engine.model, table, next(keys), interval))
        engine.step()
    made, began = -sum(engine.progress().values()), time.perf_counter()
    for _ in range(steps):
        while engine.load < 2 * engine.budget.native_rows:
            engine.add(picture(engine.model, table, next(keys), interval))
        made += len(engine.step().developed)
    made += sum(engine.progress().values())
    seconds = time.perf_counter() - began
    engine.remove(range(next(keys)))
    return made / seconds


def sheet(drawn: Mapping[Interval, Pictures], side: int = 64) -> Image.Image:
    """A row for each interval, a column for each prompt."""
    size = (side * len(PROMPTS), side * len(drawn))
    whole = Image.new("RGB", size, "white")
    for y, pictures in enumerate(drawn.values()):
        for x, pixels in enumerate(pictures):
            small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            whole.paste(small, (side * x, side * y))
    return whole


def quality(drawn: Mapping[Interval, Pictures]) -> dict[str, dict[str, float]]:
    """PSNR against the pictures in full, by interval and prompt."""
    return {
        str(interval): {
            prompt: psnr(whole, cut)
            for prompt, whole, cut in zip(PROMPTS, drawn[FULL], drawn[interval], strict=True)
        }
        for interval in INTERVALS
    }


def speed(
    engine: Engine, table: SamplerTable, rounds: int, steps: int
) -> dict[str, dict[str, float]]:
    """Medians over the rounds; the gain is the median of each round's own."""
    found: list[dict[Interval, float]] = []
    for n in range(rounds):
        found.append({each: pictures_per_s(engine, table, each, steps) for each in TIMED})
        print(f"round {n + 1} of {rounds}", flush=True)
    return {
        str(each): {
            "pictures_per_s": statistics.median(speeds[each] for speeds in found),
            "gain": statistics.median(speeds[each] / speeds[FULL] for speeds in found),
            "gain_by_rows": FULL.row_steps / each.row_steps,
        }
        for each in TIMED
    }


def show(result: dict[str, dict[str, dict[str, float]]]) -> None:
    print("\ninterval       PSNR in dB: least, median, most")
    for name, values in result["quality"].items():
        each = sorted(values.values())
        print(f"{name:12}   {each[0]:5.1f} {statistics.median(each):5.1f} {each[-1]:5.1f}")
    print("\ninterval     pictures/s   gain   by row counting")
    for name, told in result["speed"].items():
        print(
            f"{name:12}   {told['pictures_per_s']:8.3f}  {told['gain']:5.2f}"
            f"   {told['gain_by_rows']:5.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--rows", type=whole, default=16, help="the budget")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=whole, default=60, help="of the engine, each time")
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    parser.add_argument("--sheet", type=new_file, help="picture to write")
    options = parser.parse_args()
    settings = WorkerSettings(checkpoint=options.checkpoint, max_rows=options.rows)
    started = start_engine(settings)
    engine = Engine(started.model, RowBudget(options.rows, started.model.native_shape))
    table = build_table(SAMPLER, STEPS, engine.model.scheduler_config)
    drawn = {each: draw(engine, table, each) for each in (FULL, *INTERVALS)}
    if options.sheet:
        sheet(drawn).save(options.sheet)
    result = {
        "quality": quality(drawn),
        "speed": speed(engine, table, options.rounds, options.steps) if options.rounds else {},
    }
    show(result)
    if options.json:
        asked = {"sampler": SAMPLER, "steps": STEPS, "guidance": GUIDANCE, "rows": options.rows}
        facts = machine() | {"checkpoint": engine.model.name} | asked
        options.json.write_text(json.dumps({"machine": facts, "result": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
