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

from families import write_checkpoint
from meters import Work
from processes import expect, is_ready

from darkroom.part import part, require_alive
from gpu.setting import STEPS, Setting, Tree, say, tidy
from tests.address import free_port

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0  # for the service to be ready
POLL_S = 0.1
LEAST_MEASURED_S = 5.0  # so that some pictures end meanwhile
USERS_PER_PICTURE = 1.25  # in flight: so that some always wait


def through_the_api(setting: Setting, *, compiles: bool) -> Iterator[Tree]:
    """The first family, written to a folder as a checkpoint."""
    name = "compiled" if compiles else "as it comes"
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"
        write_checkpoint(setting.families[0], checkpoint, setting.device)
        tidy(setting.device)
        settings = {
            "DARKROOM_CHECKPOINT": str(checkpoint),
            "DARKROOM_COMPILE": str(compiles).lower(),
            "DARKROOM_DTYPE": str(setting.dtype).removeprefix("torch."),
            "DARKROOM_MAX_ROWS": str(setting.budget_rows),
        }
        with service(Path(folder), settings) as (url, metrics_port, ready_s):
            found = saturated(url, metrics_port, setting)
    say(f"through the API, {name}: {found['pictures_per_s']:.2f} pictures/s")
    yield {"service": {name: found | {"ready_s": ready_s}}}


@contextmanager
def service(folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, int, float]]:
    """`darkroom run`: its address, its worker's metrics port, and how long it took to be ready."""
    port, metrics_port = free_port(), free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "service.log"
    options = ["--port", str(port), "--metrics-port", str(metrics_port), "--data", str(folder)]
    command = [sys.executable, "-m", "darkroom", "run", *options]
    others = {name: value for name, value in os.environ.items() if not is_setting(name)}
    environment = others | settings | {"PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    with (
        log.open("wb") as written,
        part("service", command, environment, written) as running,
    ):
        try:
            while not is_ready(url, with_workers=True):
                require_alive({"service": running})
                if time.monotonic() > began + LIMIT_S:
                    raise TimeoutError(f"the service was not ready within {LIMIT_S:.0f} s")
                time.sleep(POLL_S)
            yield url, metrics_port, time.monotonic() - began
        except Exception:
            sys.stderr.write(log.read_text()[-4000:])
            raise


def is_setting(variable: str) -> bool:
    """Of a darkroom that somebody runs here, which is none of our business."""
    return variable.startswith("DARKROOM_") or variable == "REDIS_URL"


def saturated(url: str, metrics_port: int, setting: Setting) -> Tree:
    """The rate by the rows of the worker's U-Net calls, in the long run, and as callers saw it."""
    options = {
        "--url": url,
        "--users": int(USERS_PER_PICTURE * setting.in_flight),
        "--at-once": setting.in_flight,
        "--warm-up": max(2.0, setting.measured_s),
        "--seconds": max(LEAST_MEASURED_S, setting.measured_s),
    }
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, str(ROOT / "benchmarks" / "fleet_load.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as load:
        try:
            expect(load, "measuring")
            before = Work.of(metrics_port)
            expect(load, "measured")
            rows_per_s = Work.of(metrics_port).rows_per_s(before)
            seen, _ = load.communicate(timeout=LIMIT_S)
        finally:
            load.kill()
    return {"pictures_per_s": rows_per_s / (2 * STEPS), "as_seen": json.loads(seen)}
