"""Two real worker processes on one queue, to be frozen and killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract import identity, queue
from contract.request import JobRequest
from contract.workers import WorkerCard, live_workers
from tests.checkpoints import build_checkpoint
from tests.waiting import until

MODEL = "tiny"

Workers = dict[str, subprocess.Popen[bytes]]
"""By the names that they have in RQ's records, without the suffix."""

Start = Callable[[str], subprocess.Popen[bytes]]
"""Starts a worker of that name."""

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


@pytest.fixture
def start(checkpoint: Path, redis_url: str, connection: Redis) -> Iterator[Start]:
    """Their checkpoints come only at the end: what a stop does not keep is lost for all to see."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(name: str) -> subprocess.Popen[bytes]:
        process = _start(name, checkpoint, redis_url, DARKROOM_CHECKPOINT_S="600")
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def _start(name: str, checkpoint: Path, redis_url: str, **settings: str) -> subprocess.Popen[bytes]:
    environment = (
        os.environ
        | {
            "REDIS_URL": redis_url,
            "DARKROOM_CHECKPOINT": str(checkpoint),
            "DARKROOM_THREADS": "1",
            "DARKROOM_MAX_ROWS": "8",
            "DARKROOM_METRICS_PORT": "0",
        }
        | settings
    )
    command = [sys.executable, "-m", "darkroom", "worker", "--name", name]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def ready(connection: Redis, name: str) -> WorkerCard:
    """What the worker says of itself, as soon as it takes jobs."""
    return until(lambda: {card.name: card for card in live_workers(connection)}.get(name))


def rows_computed(worker: WorkerCard) -> int:
    """Rows of all U-Net calls that the worker has made: two for each step of a guided picture."""
    answer = httpx.get(f"http://127.0.0.1:{worker.metrics_port}/metrics")
    samples = (
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    )
    return int(sum(each.value for each in samples if each.name == "darkroom_rows_total"))


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
