"""Ways to estimate how long a job will take, side by side in virtual time.

    python benchmarks/forecasts.py [--seconds 300] [--json FILE]

Poisson arrivals of the load tester's mixes at workers whose steps take what was measured: an H100
with Stable Diffusion 1.5, and two cores of a CPU with the starter. Of each way it prints the median
and the 90th percentile of |estimate - truth| / truth, over all jobs but the first ones.

- throughput: the row-steps that wait, and its own, by the throughput of late
- told: contract/forecast.py, with what the workers held when they last told of it
- forecast: contract/forecast.py, with what they hold by Redis, as the API has it
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import promises
from load_test.demand import Mix, poisson
from simulated.service import Job, Service
from simulated.step_times import FAMILY, TABLE, StepTimes

from contract.forecast import Fleet

LOADS = (0.3, 0.8, 1.0, 1.2)
FLEETS = (1, 4)
MIXES = ("equal", "mixed", "short-long")
WARM_UP = 0.15  # of the time
STARTER = StepTimes(
    16, {1: 0.024, 2: 0.032, 4: 0.044, 8: 0.0656, 16: 0.109}, {1: 0.012, 2: 0.02, 4: 0.035}
)
"""Seconds on two cores."""

Estimate = Callable[[Job], float]


def throughput(job: Job) -> float:
    speeds = [card.row_steps_per_s for card in job.cards if card.row_steps_per_s]
    assert job.standing.work is not None
    return job.standing.work / (sum(speeds) / len(speeds) * len(job.cards))


def forecast(job: Job) -> float:
    fleet = Fleet.of(job.cards)
    assert fleet is not None
    return fleet.seconds(job.work, job.standing)


def told(job: Job) -> float:
    rows = sum(card.pace.rows for card in job.cards if card.pace is not None)
    jobs = round(rows / job.rows)
    return forecast(replace(job, standing=job.standing._replace(held=jobs, held_rows=rows)))


WAYS: Mapping[str, Estimate] = {"throughput": throughput, "told": told, "forecast": forecast}


def demand(mix: Mix, per_s: float, seconds: float, seed: int) -> list[Job]:
    moments = takewhile(lambda at: at < seconds, poisson(per_s, seed))
    return [Job(ask, at) for at, ask in zip(moments, mix.asks(seed), strict=False)]


def capacity(mix: Mix, times: StepTimes, budget: int) -> float:
    """Jobs in a second of one worker whose batches are full."""
    asks = mix.asks(0)
    jobs = [Job(next(asks), 0.0) for _ in range(2000)]
    work = statistics.fmean(job.work.row_steps for job in jobs)
    pictures = statistics.fmean(job.ask.images for job in jobs)
    return 1.0 / (work / budget * times.step_s(budget) + pictures * times.decode_s(1))


def errors(
    times: StepTimes, budget: int, workers: int, mix: Mix, load: float, seconds: float
) -> dict[str, tuple[float, float]]:
    """By the way: the median and the 90th percentile of what it is off."""
    jobs = demand(mix, load * workers * capacity(mix, times, budget), seconds, seed=1)
    Service(times, workers, budget).run(jobs)
    judged = [job for job in jobs if job.accepted_at > WARM_UP * seconds]
    return {name: _spread(judged, estimate) for name, estimate in WAYS.items()}


def _spread(jobs: list[Job], estimate: Estimate) -> tuple[float, float]:
    found = promises.errors((estimate(job), job.took_s) for job in jobs)
    return found["median_error"] or 0.0, found["p90_error"] or 0.0


def compared(seconds: float) -> Iterator[dict[str, Any]]:
    devices = {"H100": (StepTimes.read(TABLE, FAMILY), 32), "CPU": (STARTER, 16)}
    for device, (times, budget) in devices.items():
        for workers in FLEETS:
            for name in MIXES:
                mix = Mix.parse(name, {"sizes": "native"})
                for load in LOADS:
                    found = errors(times, budget, workers, mix, load, seconds)
                    about = {"device": device, "workers": workers, "mix": name, "load": load}
                    yield about | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of virtual time")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    print("device  workers  mix         load", *(f"{name:>16}" for name in WAYS))
    rows = []
    for row in compared(options.seconds):
        rows.append(row)
        spreads = (f"{median:>9.1%} {most:>6.0%}" for median, most in map(row.get, WAYS))
        print(
            f"{row['device']:6}  {row['workers']:7}  {row['mix']:10}  {row['load']:.1f}", *spreads
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
