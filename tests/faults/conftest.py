"""Real worker processes on one queue, to be frozen, stopped and killed."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from contract import identity, queue
from contract.job import JobState
from contract.request import JobRequest
from contract.workers import WorkerCard, live_workers
from tests.checkpoints import build_checkpoint
from tests.faults.fleet import environment_of
from tests.faults.nursery import WorkerProcess
from tests.waiting import job_in, until

MODEL = "tiny"

Workers = dict[str, WorkerProcess]
"""By the names that they have in RQ's records, without the suffix."""

Start = Callable[..., WorkerProcess]
"""Starts a worker; takes its name, what its environment has beside the usual, and maybe `log`."""

Ask = Callable[..., str]
"""Puts a job into the queue and returns its id; takes the fields of a `JobRequest`."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / MODEL)


@pytest.fixture
def start(checkpoint: Path, redis_url: str, connection: Redis) -> Iterator[Start]:
    processes: list[WorkerProcess] = []

    def begin(name: str, log: Path | None = None, **environment: str) -> WorkerProcess:
        everything = environment_of(redis_url, checkpoint) | environment
        process = WorkerProcess(name, everything, log)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in processes:
        process.wait(30)


def ready(connection: Redis, name: str) -> WorkerCard:
    """What the worker says of itself, as soon as it takes jobs."""
    return until(lambda: {card.name: card for card in live_workers(connection)}.get(name))


def holder(connection: Redis, job_id: str) -> str:
    """The name of the worker that runs the job."""
    record = job_in(connection, job_id, JobState.RUNNING)
    assert record.worker is not None
    return record.worker.partition(".")[0]


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
