"""All of the service on one machine: Redis where none is named, an API, a worker, and what delivers
webhooks where there is a secret to sign them with."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import httpx

from app.settings import AppSettings
from contract.connections import connect, require_redis
from contract.errors import BadSetting
from contract.settings import load_settings
from darkroom.address import local_url, usable_port
from darkroom.embedded_redis import embedded_redis, free_url
from darkroom.part import Part, part, require_alive
from worker.engine.model_folder import check_folder
from worker.settings import WorkerSettings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_LIMIT_S = 300.0
POLL_S = 0.1
TIMEOUT_S = 5.0


def run_all(*, port: int | None, metrics_port: int | None, data: Path) -> None:
    """Starts everything, says where it is, and stops everything at the first signal.

    Raises:
        BadSetting: a setting is wrong, a port is taken, the Redis that is named does not answer, or
            a part of the service did not start.
        BadCheckpoint: the checkpoint is missing or broken.
    """
    named = os.environ.get("REDIS_URL")
    redis_url = named or free_url()
    api = load_settings(AppSettings, port=port, redis_url=redis_url)
    worker = load_settings(WorkerSettings, metrics_port=metrics_port, redis_url=redis_url)
    api.require_keys_or_loopback()
    check_folder(worker.checkpoint)
    if named:
        with connect(redis_url, timeout_s=TIMEOUT_S) as connection:
            require_redis(connection)
    port = usable_port(api.host, api.port, "DARKROOM_PORT")
    metrics_port = usable_port(worker.metrics_host, worker.metrics_port, "DARKROOM_METRICS_PORT")
    address = local_url(api.host, port)
    with _ended_by_a_signal(), ExitStack() as stack:
        parts: dict[str, Part] = {}
        if not named:
            redis = embedded_redis(redis_url, data / f"redis-{port}")
            parts["Redis"] = stack.enter_context(redis)
        environment = os.environ | {"REDIS_URL": redis_url}
        commands = {
            "worker": ["--metrics-port", str(metrics_port)],
            "api": ["--port", str(port)],
        }
        if api.signing_keys:
            commands["webhooks"] = []
        for name, options in commands.items():
            command = [sys.executable, "-m", "darkroom", name, *options]
            parts[name] = stack.enter_context(part(name, command, environment))
        _wait_until_ready(address, parts)
        _welcome(address, local_url(worker.metrics_host, metrics_port))
        _wait_for_an_end(parts)


@contextmanager
def _ended_by_a_signal() -> Iterator[None]:
    """The first signal ends the service; those after it change nothing, as each part's end is
    bounded. A signal that is ignored from the start (by `nohup`) stays so."""
    heeded = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]

    def end(signum: int, frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in heeded}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait_until_ready(address: str, parts: Mapping[str, Part]) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        require_alive(parts)
        try:
            ready = httpx.get(f"{address}/readyz", timeout=2.0)
        except httpx.HTTPError:
            time.sleep(POLL_S)
            continue
        if ready.status_code == httpx.codes.OK and ready.json()["workers"]:
            return
        time.sleep(POLL_S)
    raise BadSetting(f"The service was not ready within {START_LIMIT_S:.0f} s.")


def _wait_for_an_end(parts: Mapping[str, Part]) -> None:
    while True:
        require_alive(parts)
        time.sleep(POLL_S)


def _welcome(address: str, metrics_address: str) -> None:
    sys.stdout.write(
        f"""
darkroom is ready at {address}   (API page: {address}/docs)
worker metrics at {metrics_address}/metrics

Make a picture: open the address in a browser, or

    curl -s {address}/generate -H 'Content-Type: application/json' -H 'Accept: image/png' \\
      -d '{{"prompt": "red apple", "seed": 1}}' -o picture.png

Ctrl-C stops it.
"""
    )
    sys.stdout.flush()
