"""Load on a running service: closed-loop users that each post, poll and post again.

    python benchmarks/load.py --url http://127.0.0.1:8000 [--users 8] [--requests 64] [--key KEY]

Prints the latency from POST to the end of the job, and pictures per second. It asks no address but
the one given.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from pathlib import Path

import httpx

SAMPLERS = ("dpmpp_2m_karras", "euler", "ddim", "unipc", "euler_a")
PROMPTS = ("red apple", "rocket", "cat face", "sunflower", "castle", "pizza", "penguin", "guitar")
POLL_S = 0.05
LIMIT_S = 600.0


FRESH = {"Cache-Control": "no-cache"}
"""A run again is to be work again, although its seeds are the same."""


async def user(
    client: httpx.AsyncClient, seeds: list[int], seconds: list[float], steps: int | None
) -> None:
    """Works off the seeds; each decides the whole request, but for the steps if they are given."""
    while seeds:
        choice = random.Random(seeds.pop())
        body = {
            "prompt": choice.choice(PROMPTS),
            "steps": steps or choice.randint(10, 30),
            "sampler": choice.choice(SAMPLERS),
            "seed": choice.randrange(2**32),
        }
        began = time.perf_counter()
        answer = await client.post("/generate", json=body, headers=FRESH)
        answer.raise_for_status()
        job = answer.json()
        while job["state"] in ("queued", "running"):
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"job {job['id']} did not end within {LIMIT_S:.0f} s")
            await asyncio.sleep(POLL_S)
            job = (await client.get(f"/jobs/{job['id']}")).raise_for_status().json()
        if job["state"] != "succeeded":
            raise RuntimeError(f"job {job['id']} {job['state']}: {job['error']}")
        seconds.append(time.perf_counter() - began)
        print(f"\r{len(seconds)} done", end="", flush=True)


async def run(
    url: str, users: int, requests: int, steps: int | None, key: str | None
) -> dict[str, float]:
    seeds, seconds = list(range(requests)), []
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30.0) as client:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(user(client, seeds, seconds, steps))
        elapsed = time.perf_counter() - began
    ranks = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        "users": users,
        "requests": requests,
        "pictures_per_s": requests / elapsed,
        "p50_s": ranks[49],
        "p95_s": ranks[94],
        "p99_s": ranks[98],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--steps", type=int, help="of every request; default: 10 to 30, mixed")
    parser.add_argument(
        "--key",
        default=os.environ.get("DARKROOM_KEY"),
        help="API key, where the service needs one (default: DARKROOM_KEY)",
    )
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    try:
        result = asyncio.run(
            run(options.url, options.users, options.requests, options.steps, options.key)
        )
    except* httpx.ConnectError:
        parser.exit(1, f"no service answers at {options.url}; start one with `make run`\n")
    except* httpx.HTTPStatusError as group:
        refusals = {f"{each}".partition("\n")[0] for each in group.exceptions}
        parser.exit(1, "\n".join(sorted(refusals)) + "\n")
    print()
    for name, value in result.items():
        print(f"{name:16} {value:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
