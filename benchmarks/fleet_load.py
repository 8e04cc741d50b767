"""Closed-loop demand for benchmarks/fleet.py, in a process of its own.

    python benchmarks/fleet_load.py --url URL --users 20 --seconds 20

Each user posts, waits for the job's end, fetches the picture and posts again. The first --at-once
requests have fewer steps, each another number, so that pictures end one after another from the
start, as they do in the long run.
benchmarks/load.py is for a service that somebody runs. This one asks in the same way, and has what
fleet.py needs: fewer steps at first, and words by which another process keeps the time.
Says `measuring` when it begins to count and `measured` when it ends, for whoever reads the clocks
of other processes, and then what it counted, as JSON.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from itertools import count

from load_test.service import Fault, Job, Service
from percentiles import rank

STEPS = 30
PROMPT = "a red circle on a white ground"
WAIT_S = 60
ARRIVAL_S = 0.01  # between the first requests of two users


@dataclass
class Counted:
    """What came to an end while it was counted."""

    ended_at: list[float] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)  # from acceptance until a worker took it
    total_s: list[float] = field(default_factory=list)  # of the pictures of STEPS steps, as seen
    picture_bytes: int = 0

    def note(self, job: Job, steps: int, began: float) -> None:
        """A job that has succeeded, and its picture with it."""
        assert job.started is not None
        now = time.perf_counter()
        self.ended_at.append(now)
        self.queue_s.append(job.started - job.created)
        if steps == STEPS:
            self.total_s.append(now - began)
        self.picture_bytes += sum(job.pictures.values())

    def figures(self) -> dict[str, float | None]:
        span_s = self.ended_at[-1] - self.ended_at[0]
        return {
            "pictures": len(self.ended_at),
            "pictures_per_s": (len(self.ended_at) - 1) / span_s,
            "bytes_per_picture": self.picture_bytes / len(self.ended_at),
            "queue_p50_s": rank(self.queue_s, 50),
            "queue_p99_s": rank(self.queue_s, 99),
            "total_p50_s": rank(self.total_s, 50),
            "total_p99_s": rank(self.total_s, 99),
        }


class Demand:
    def __init__(self, at_once: int, seed: int):
        self.counted: Counted | None = None
        self.is_over = False
        self.accepted = self.fetched = self.refused = 0
        dice = random.Random(seed)
        self._seeds = count(dice.randrange(2**31))
        self._first = [1 + n * STEPS // at_once for n in range(at_once)]
        dice.shuffle(self._first)

    async def user(self, service: Service, after_s: float) -> None:
        """Raises Fault where a picture did not come, other than for a full queue."""
        await asyncio.sleep(after_s)
        while not self.is_over:
            steps = self._first.pop() if self._first else STEPS
            body = {"prompt": PROMPT, "steps": steps, "seed": next(self._seeds)}
            began = time.perf_counter()
            try:
                job = await service.post(body, WAIT_S)
            except Fault as fault:
                if not fault.is_refusal:
                    raise
                self.refused += 1
                await asyncio.sleep(fault.retry_after_s)
                continue
            self.accepted += 1
            job = await service.end_of(job)
            if job.state != "succeeded":
                raise RuntimeError(f"job {job.id} {job.state}: {job.error}")
            await service.fetch(job)
            self.fetched += 1
            if self.counted is not None:
                self.counted.note(job, steps, began)


async def run(options: argparse.Namespace) -> dict[str, float | None]:
    users, counted = options.users, Counted()
    demand = Demand(options.at_once, options.seed)
    async with Service(options.url) as service:
        tasks = [asyncio.create_task(demand.user(service, n * ARRIVAL_S)) for n in range(users)]
        try:
            for told, wait_s in (("measuring", options.warm_up), ("measured", options.seconds)):
                await _unless_one_fails(tasks, wait_s)
                demand.counted = counted if told == "measuring" else None
                print(told, flush=True)
            demand.is_over = True
            if options.finish:
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    told = {name: getattr(demand, name) for name in ("accepted", "fetched", "refused")}
    return counted.figures() | told


async def _unless_one_fails(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--at-once", type=int, default=0, help="pictures that run at a time")
    parser.add_argument("--warm-up", type=float, default=6.0, help="seconds before it counts")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finish", action="store_true", help="wait for the last pictures")
    json.dump(asyncio.run(run(parser.parse_args())), sys.stdout)


if __name__ == "__main__":
    main()
