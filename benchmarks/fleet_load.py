"""Closed-loop demand for benchmarks/fleet.py, in a process of its own.

    python benchmarks/fleet_load.py --url URL --users 20 --seconds 20

Each user posts, waits for the job's end, fetches the picture and posts again. The first --at-once
requests have fewer steps, each another number, so that pictures end one after another from the
start, as they do in the long run.
Says `measuring` when it begins to count and `measured` when it ends, for whoever reads the clocks
of other processes, and then what it counted, as JSON.
"""

import argparse
import asyncio
import json
import random
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import httpx

STEPS = 30
WAIT_S = 60
ARRIVAL_S = 0.01  # between the first requests of two users
USERS_PER_CLIENT = 50  # httpx looks through all connections of a client at each request
HEADERS = {"Prefer": f"wait={WAIT_S}", "Cache-Control": "no-cache"}


@dataclass
class Counted:
    """What came to an end while it was counted."""

    ended_at: list[float] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)  # from acceptance until a worker took it
    total_s: list[float] = field(default_factory=list)  # of the pictures of STEPS steps, as seen
    picture_bytes: int = 0

    def note(self, job: dict[str, Any], began: float, size: int) -> None:
        now = time.perf_counter()
        self.ended_at.append(now)
        self.queue_s.append(_moment(job["started_at"]) - _moment(job["created_at"]))
        if job["request"]["steps"] == STEPS:
            self.total_s.append(now - began)
        self.picture_bytes += size

    def figures(self) -> dict[str, float | None]:
        span_s = self.ended_at[-1] - self.ended_at[0]
        return {
            "pictures": len(self.ended_at),
            "pictures_per_s": (len(self.ended_at) - 1) / span_s,
            "bytes_per_picture": self.picture_bytes / len(self.ended_at),
            "queue_p50_s": _rank(self.queue_s, 50),
            "queue_p99_s": _rank(self.queue_s, 99),
            "total_p50_s": _rank(self.total_s, 50),
            "total_p99_s": _rank(self.total_s, 99),
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

    async def user(self, client: httpx.AsyncClient, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while not self.is_over:
            body = {
                "prompt": "a red circle on a white ground",
                "steps": self._first.pop() if self._first else STEPS,
                "seed": next(self._seeds),
            }
            began = time.perf_counter()
            answer = await client.post("/generate", json=body)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self.refused += 1
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            self.accepted += 1
            job = answer.json()
            while job["state"] in ("queued", "running"):
                waited = await client.get(f"/jobs/{job['id']}", params={"wait": WAIT_S})
                job = waited.raise_for_status().json()
            if job["state"] != "succeeded":
                raise RuntimeError(f"job {job['id']} {job['state']}: {job['error']}")
            picture = (await client.get(job["images"][0]["url"])).raise_for_status().content
            if len(picture) != job["images"][0]["bytes"]:
                raise RuntimeError(f"job {job['id']}: its picture is not whole")
            self.fetched += 1
            if self.counted is not None:
                self.counted.note(job, began, len(picture))


async def run(options: argparse.Namespace) -> dict[str, float | None]:
    users, counted = options.users, Counted()
    demand = Demand(options.at_once, options.seed)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client)
            for client in _clients(options.url, -(-users // USERS_PER_CLIENT))
        ]
        tasks = [
            asyncio.create_task(demand.user(clients[n // USERS_PER_CLIENT], n * ARRIVAL_S))
            for n in range(users)
        ]
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


def _clients(url: str, number: int) -> Iterator[httpx.AsyncClient]:
    context = ssl.create_default_context()  # which takes its time to make, for each client else
    for _ in range(number):
        yield httpx.AsyncClient(
            base_url=url,
            headers=HEADERS,
            timeout=WAIT_S + 30,
            verify=context,
            limits=httpx.Limits(),
        )


async def _unless_one_fails(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _rank(seconds: list[float], percent: int) -> float | None:
    """None where there are too few to say."""
    if len(seconds) < 2:
        return None
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


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
