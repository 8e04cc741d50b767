"""Worker processes that are killed, frozen and come back, as an orchestrator would have it."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract.leases import EXECUTION_FIELD
from contract.workers import WorkerCard, live_workers
from tests.faults.nursery import WorkerProcess

READY_FOR_S = 2.0
"""A worker is killed only once it has been ready for this long."""
FREEZE_S = 20.0


class Fleet:
    """Keeps `size` workers alive; each that dies is replaced by one of a new name.

    Each writes its log into the folder `logs`."""

    def __init__(self, size: int, environment: Mapping[str, str], connection: Redis, logs: Path):
        self._environment = environment
        self._connection = connection
        self._started = 0
        self._ready_since: dict[str, float] = {}
        self._cards: dict[str, WorkerCard] = {}
        self._thaw_at: dict[int, float] = {}  # by process id
        self.rows = 0  # of U-Net calls, by the dead; by all once they are stopped
        self.crashes: list[str] = []  # of workers that ended without being told to, or not well
        self._logs = logs
        self.workers: dict[str, WorkerProcess] = {}
        self.size = size

    def tend(self) -> None:
        """Replaces the dead, thaws the frozen in time, and notes who is ready since when."""
        now = time.monotonic()
        for pid, at in list(self._thaw_at.items()):
            if now >= at:
                os.kill(pid, signal.SIGCONT)
                del self._thaw_at[pid]
        for name, each in self.workers.items():
            if each.poll() is not None:
                self._note_crash(name, each)
        self.workers = {n: each for n, each in self.workers.items() if each.poll() is None}
        while len(self.workers) < self.size:
            self._start()
        self._cards = {card.name: card for card in live_workers(self._connection)}
        ready = self._cards.keys() & {n for n in self.workers if not self._is_frozen(n)}
        self._ready_since = {name: self._ready_since.get(name, now) for name in ready}

    def victim(self) -> str | None:
        """A worker that may be killed: ready for a while, at work, and not the only one ready."""
        now = time.monotonic()
        if len(self._ready_since) < 2:
            return None
        seasoned = [name for name, at in self._ready_since.items() if now - at >= READY_FOR_S]
        return next((name for name in seasoned if self.held_by(name)), None)

    def held_by(self, name: str) -> list[str]:
        """The jobs that a worker holds."""
        held = []
        for key in self._connection.scan_iter("rq:job:*"):
            status, worker, execution = self._connection.hmget(
                key, ["status", "worker_name", EXECUTION_FIELD]
            )
            is_its = worker is not None and worker.decode().partition(".")[0] == name
            if status == b"started" and execution is not None and is_its:
                held.append(key.decode().removeprefix("rq:job:"))
        return held

    def kill(self, name: str) -> bool:
        """Reads how many rows it has computed, and kills it; not if it has frozen at this moment
        and does not say."""
        try:
            self.rows += rows_computed(self._cards[name])
        except httpx.TimeoutException:
            return False
        self._ready_since.pop(name)
        killed = self.workers.pop(name)
        killed.kill()
        killed.wait(30)
        return True

    def freeze(self, name: str) -> None:
        """For FREEZE_S, which is longer than any lease."""
        self.workers[name].send_signal(signal.SIGSTOP)
        self.will_thaw(self.workers[name].pid)

    def name_of(self, pid: int) -> str:
        return next(name for name, each in self.workers.items() if each.pid == pid)

    def will_thaw(self, pid: int) -> None:
        self._thaw_at[pid] = time.monotonic() + FREEZE_S

    @property
    def is_ready(self) -> bool:
        return len(self._ready_since) == self.size

    def stop(self) -> None:
        """Lets all finish what they have."""
        for pid in self._thaw_at:
            os.kill(pid, signal.SIGCONT)
        self.rows += sum(rows_computed(self._cards[n]) for n in self.workers if n in self._cards)
        for worker in self.workers.values():
            worker.terminate()
        for name, worker in self.workers.items():
            code = worker.wait(30)
            was_loading = code == -signal.SIGTERM and name not in self._cards
            if code != 0 and not was_loading:
                self._note_crash(name, worker)

    def _note_crash(self, name: str, worker: WorkerProcess) -> None:
        log = self._logs / name
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        self.crashes.append("\n    ".join([f"{name} ended with {worker.poll()}", *end]))

    def _is_frozen(self, name: str) -> bool:
        return self.workers[name].pid in self._thaw_at

    def _start(self) -> None:
        self._started += 1
        name = f"w{self._started}"
        self.workers[name] = WorkerProcess(name, self._environment, self._logs / name)


def rows_computed(worker: WorkerCard) -> int:
    """Rows of all U-Net calls that the worker has made: two for each step of a guided picture."""
    return _metric(worker, "darkroom_rows_total")


def jobs_ended(worker: WorkerCard) -> int:
    """Jobs that the worker has ended or lost."""
    return _metric(worker, "darkroom_jobs_total")


def _metric(worker: WorkerCard, name: str) -> int:
    answer = httpx.get(f"http://127.0.0.1:{worker.metrics_port}/metrics")
    samples = (
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    )
    return int(sum(each.value for each in samples if each.name == name))


def environment_of(redis_url: str, checkpoint: Path) -> dict[str, str]:
    return {
        "REDIS_URL": redis_url,
        "DARKROOM_CHECKPOINT": str(checkpoint),
        "DARKROOM_THREADS": "1",
        "DARKROOM_MAX_ROWS": "8",
        "DARKROOM_METRICS_PORT": "0",
    }
