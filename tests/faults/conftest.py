"""Two real worker processes on one queue, to be frozen and killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from contract import identity, queue
from contract.request import JobRequest
from contract.workers import live_workers
from tests.checkpoints import build_checkpoint
from tests.waiting import until

MODEL = "tiny"

Workers = dict[str, subprocess.Popen[bytes]]
"""By the names that they have in RQ's records, without the suffix."""

Ask = Callable[..., str]
"""Puts a job into the queue and returns its id; takes the fields of a `JobRequest`."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / MODEL)


@pytest.fixture
def workers(checkpoint: Path, redis_url: str, connection: Redis) -> Iterator[Workers]:
    processes = {name: _start(name, checkpoint, redis_url) for name in ("one", "two")}
    try:
        until(lambda: len(live_workers(connection)) == len(processes))
        yield processes
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in processes.values():
            process.wait(30)


def _start(name: str, checkpoint: Path, redis_url: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "REDIS_URL": redis_url,
        "DARKROOM_CHECKPOINT": str(checkpoint),
        "DARKROOM_THREADS": "1",
        "DARKROOM_MAX_ROWS": "8",
        "DARKROOM_METRICS_PORT": "0",
    }
    command = [sys.executable, "-m", "darkroom", "worker", "--name", name]
    return subprocess.Popen(command, env=environment, start_new_session=True)


@pytest.fixture
def ask(connection: Redis) -> Ask:
    def enqueue(**fields: object) -> str:
        asked = {
            "prompt": "a red circle",
            "model": MODEL,
            "seed": 0,
            "width": 64,
            "height": 64,
            "steps": 150,
            "sampler": "euler",
        } | fields
        job_id = identity.new_job_id()
        request = JobRequest.model_validate(asked)
        queue.enqueue(queue.model_queue(connection, MODEL), job_id, request, ttl_s=600)
        return job_id

    return enqueue
