"""Pictures a second through the API: a service of its own, whose callers wait and fetch."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from families import write_checkpoint
from meters import Work

from darkroom.part import part, require_alive
from gpu.setting import STEPS, Setting, say
from tests.address import free_port

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0  # for the service to be ready
POLL_S = 0.1
LEAST_MEASURED_S = 5.0  # so that some pictures end meanwhile
USERS_PER_PICTURE = 1.25  # in flight: so that some always wait
DTYPES = {"torch.float16": "float16", "torch.bfloat16": "bfloat16", "torch.float32": "float32"}


def through_the_api(setting: Setting) -> dict[str, object]:
    """The first family, written to a folder as a checkpoint; as it comes, and compiled."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"
        write_checkpoint(setting.families[0], checkpoint, setting.device)
        modes = {"as it comes": "false", **({"compiled": "true"} if setting.compiles else {})}
        for name, compiles in modes.items():
            environment = {
                "DARKROOM_CHECKPOINT": str(checkpoint),
                "DARKROOM_COMPILE": compiles,
                "DARKROOM_DTYPE": DTYPES[str(setting.dtype)],
                "DARKROOM_MAX_ROWS": str(2 * setting.in_flight),
            }
            with service(Path(folder), environment) as (url, metrics_port, ready_s):
                figures = saturated(url, metrics_port, setting)
            found[name] = figures | {"ready_s": ready_s}
            say(f"through the API, {name}: {figures['pictures_per_s']:.2f} pictures/s")
    return found


@contextmanager
def service(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, int, float]]:
    """`darkroom run`: its address, its worker's metrics port, and how long it took to be ready."""
    port, metrics_port = free_port(), free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "service.log"
    options = ["--port", str(port), "--metrics-port", str(metrics_port), "--data", str(folder)]
    command = [sys.executable, "-m", "darkroom", "run", *options]
    given = {"PYTHONPATH": str(ROOT)} | environment
    began = time.monotonic()
    with (
        log.open("wb") as written,
        part("service", command, os.environ | given, written) as running,
    ):
        try:
            while not _is_ready(url):
                require_alive({"service": running})
                if time.monotonic() > began + LIMIT_S:
                    raise TimeoutError(f"the service was not ready within {LIMIT_S:.0f} s")
                time.sleep(POLL_S)
            yield url, metrics_port, time.monotonic() - began
        except Exception:
            sys.stderr.write(log.read_text()[-4000:])
            raise


def _is_ready(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=2.0)
    except httpx.HTTPError:
        return False
    return answer.is_success and bool(answer.json()["workers"])


def saturated(url: str, metrics_port: int, setting: Setting) -> dict[str, Any]:
    """The rate by the rows of the worker's U-Net calls, in the long run, and as callers saw it."""
    options = {
        "--url": url,
        "--users": int(USERS_PER_PICTURE * setting.in_flight),
        "--at-once": setting.in_flight,
        "--warm-up": max(2.0, setting.measured_s / 2),
        "--seconds": max(LEAST_MEASURED_S, setting.measured_s),
    }
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, str(ROOT / "benchmarks" / "fleet_load.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as load:
        try:
            _expect(load, "measuring")
            before = Work.of(metrics_port)
            _expect(load, "measured")
            rows_per_s = Work.of(metrics_port).rows_per_s(before)
            seen, _ = load.communicate(timeout=LIMIT_S)
        finally:
            load.kill()
    return {"pictures_per_s": rows_per_s / (2 * STEPS), "as_seen": json.loads(seen)}


def _expect(load: "subprocess.Popen[str]", told: str) -> None:
    assert load.stdout is not None
    line = load.stdout.readline().strip()
    if line != told:
        raise RuntimeError(f"the load said {line!r} instead of {told!r}")
