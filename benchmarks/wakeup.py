"""How long an idle service takes from accepting a job to its first step.

    python benchmarks/wakeup.py --url http://127.0.0.1:8000 [--requests 30]

Sends one request at a time, of the default sampler and steps, and reads the job's own timings. It
asks no address but the one given.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import httpx
from percentiles import rank

PHASES = ("queue_s", "admission_s", "text_encode_s")
IDLE_S = 0.3  # between two requests, so that the worker waits for the queue again


def wakeups(url: str, requests: int) -> list[float]:
    """Seconds from acceptance until the picture joined a batch, whose step then begins."""
    found = []
    headers = {"Prefer": "wait=60", "Cache-Control": "no-cache"}
    with httpx.Client(base_url=url, timeout=60.0, headers=headers) as client:
        for seed in range(requests):
            body = {"prompt": "red apple", "seed": seed}
            job = client.post("/generate", json=body).raise_for_status().json()
            found.append(sum(job["timings"][phase] for phase in PHASES))
            time.sleep(IDLE_S)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    milliseconds = [1000 * seconds for seconds in wakeups(options.url, options.requests)]
    result = {
        "median_ms": statistics.median(milliseconds),
        "p95_ms": rank(milliseconds, 95) or 0.0,
        "max_ms": max(milliseconds),
    }
    for name, value in result.items():
        print(f"{name:10} {value:6.1f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
