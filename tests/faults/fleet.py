"""Worker processes that are killed and come back, as an orchestrator would have it."""

import os
import subprocess
import sys
import time
from pathlib import Path

from redis import Redis
from rq.job import Job

from contract.leases import EXECUTION_FIELD
from contract.workers import live_workers

READY_FOR_S = 2.0
"""A worker is killed only once it has been ready for this long."""


class Fleet:
    """Keeps `size` workers alive; each that dies is replaced by one of a new name."""

    def __init__(self, size: int, environment: dict[str, str], connection: Redis):
        self._environment = os.environ | environment
        self._connection = connection
        self._started = 0
        self._ready_since: dict[str, float] = {}
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.size = size

    def tend(self) -> None:
        """Replaces the dead, and notes who is ready since when."""
        self.workers = {n: each for n, each in self.workers.items() if each.poll() is None}
        while len(self.workers) < self.size:
            self._start()
        ready = {worker.name for worker in live_workers(self._connection)} & self.workers.keys()
        now = time.monotonic()
        self._ready_since = {name: self._ready_since.get(name, now) for name in ready}

    def victim(self) -> str | None:
        """A worker that may be killed: ready for a while, at work, and not the only one ready."""
        now = time.monotonic()
        if len(self._ready_since) < 2:
            return None
        seasoned = [name for name, at in self._ready_since.items() if now - at >= READY_FOR_S]
        return next((name for name in seasoned if self.held_by(name)), None)

    def held_by(self, name: str) -> dict[str, str]:
        """The jobs that a worker holds, each with its execution."""
        held = {}
        for key in self._connection.scan_iter("rq:job:*"):
            status, worker, execution = self._connection.hmget(
                key, ["status", "worker_name", EXECUTION_FIELD]
            )
            if status == b"started" and worker and worker.decode().partition(".")[0] == name:
                held[key.decode().removeprefix("rq:job:")] = (execution or b"").decode()
        return held

    def kill(self, name: str) -> None:
        self._ready_since.pop(name)
        self.workers.pop(name).kill()

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.wait(30)

    def _start(self) -> None:
        self._started += 1
        name = f"w{self._started}"
        command = [sys.executable, "-m", "darkroom", "worker", "--name", name]
        self.workers[name] = subprocess.Popen(
            command, env=self._environment, start_new_session=True, stderr=subprocess.DEVNULL
        )


def is_held(connection: Redis, job_id: str, execution: str) -> bool:
    """Whether the job is still that execution's."""
    status, current = connection.hmget(Job.key_for(job_id), ["status", EXECUTION_FIELD])
    return status == b"started" and current == execution.encode()


def environment_of(redis_url: str, checkpoint: Path) -> dict[str, str]:
    return {
        "REDIS_URL": redis_url,
        "DARKROOM_CHECKPOINT": str(checkpoint),
        "DARKROOM_THREADS": "1",
        "DARKROOM_MAX_ROWS": "8",
        "DARKROOM_METRICS_PORT": "0",
    }
