"""What the row budget is worth: a burst of pictures through engines of different budgets.

    python benchmarks/row_budgets.py [--dtypes float32 bfloat16] [--rounds 3] [--json FILE]

PICTURES guided pictures of 6 to 14 steps are there at once. A small budget makes many calls that
each cost more per row; a large one makes each step long, so that short pictures wait in the company
of many. Beside the table stands what the worker's own measuring chooses at its start.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

import torch
from given import STARTER, checkpoint, new_file, whole
from machine import machine

from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.picture import Picture
from worker.engine.sampler import build_table
from worker.engine.unet_timing import measure_budget

DTYPES = ("float32", "bfloat16")
BUDGETS = (8, 16, 32, 64)
PICTURES = 32
STEPS = (6, 14, 8, 12, 10)


def burst(model: Model, rows: int, pictures: int = PICTURES) -> dict[str, float]:
    """Pictures per second, and the mean and the shortest pictures' seconds from the burst on."""
    engine = Engine(model, RowBudget(rows, model.native_shape))
    for n in range(pictures):
        table = build_table("euler", STEPS[n % len(STEPS)], model.scheduler_config)
        engine.add(Picture(n, "red apple", "", 7.5, n, *model.native_size, table))
    began = time.perf_counter()
    ended: dict[int, float] = {}
    while not engine.is_idle:
        for made in engine.step().developed:
            ended[int(str(made.key))] = time.perf_counter() - began
    short = [seconds for n, seconds in ended.items() if STEPS[n % len(STEPS)] == min(STEPS)]
    return {
        "pictures_per_s": pictures / max(ended.values()),
        "mean_s": statistics.mean(ended.values()),
        "short_mean_s": statistics.mean(short),
    }


def over(rounds: list[dict[int, dict[str, float]]], rows: int) -> dict[str, float]:
    """Each round's values over those of its budget of 16, medians."""
    return {
        name: statistics.median(found[rows][name] / found[16][name] for found in rounds)
        for name in rounds[0][rows]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--rounds", type=whole, default=3)
    parser.add_argument("--threads", type=whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {"machine": machine()}
    for dtype in options.dtypes:
        model = load_model(options.checkpoint, torch.device("cpu"), getattr(torch, dtype))
        chosen = [measure_budget(model)[0].native_rows for _ in range(3)]
        burst(model, max(BUDGETS))  # warms up
        rounds = [{rows: burst(model, rows) for rows in BUDGETS} for _ in range(options.rounds)]
        print(f"\n{dtype}: the worker chose {chosen}; over a budget of 16, medians")
        print("  rows  pictures/s  mean time  time of the short  | pictures/s")
        result[dtype] = {"chosen": chosen, "over_16": {}, "rounds": rounds}
        for rows in BUDGETS:
            values = result[dtype]["over_16"][rows] = over(rounds, rows)
            rate = statistics.median(found[rows]["pictures_per_s"] for found in rounds)
            print(f"  {rows:4}" + "".join(f"{v:11.2f}" for v in values.values()) + f"{rate:12.2f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
