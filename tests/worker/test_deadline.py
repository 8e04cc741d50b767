"""A job that waited longer than it may is not run."""

from collections.abc import Callable

import pytest
from redis import Redis
from rq import Queue

from contract import claims, identity, queue
from contract.checkpoints import JobCheckpoint, write_checkpoints
from contract.errors import DeadlineExceeded, MalformedJob
from contract.job import JobState
from contract.queue import require_in_time
from contract.request import JobRequest
from tests.waiting import job_in
from tests.worker.conftest import MODEL, running
from worker.batch_worker import BatchWorker

REQUEST = JobRequest(prompt="a", model=MODEL, seed=1, width=64, height=64, steps=2)


def ask(jobs: Queue, wait_s: float) -> str:
    job_id = identity.new_job_id()
    queue.enqueue(jobs, job_id, REQUEST, 600, wait_s=wait_s)
    return job_id


def test_a_job_that_is_taken_too_late_fails_and_never_runs(
    worker: BatchWorker, jobs: Queue, connection: Redis
) -> None:
    late, early = ask(jobs, wait_s=-1), ask(jobs, wait_s=60)
    record = job_in(connection, late)
    assert record.error is not None
    assert record.error.code == "deadline_exceeded"
    assert job_in(connection, early).state is JobState.SUCCEEDED
    assert worker._metrics.registry.get_sample_value("darkroom_pictures_total") == 1


def test_a_job_that_was_begun_in_time_is_finished_however_late(
    make_worker: Callable[[], BatchWorker], jobs: Queue, connection: Redis
) -> None:
    job_id = ask(jobs, wait_s=-1)
    first = claims.take(jobs, "gpu-1")
    assert first is not None
    begun = JobCheckpoint(1, {0: b"a checkpoint"})
    write_checkpoints(connection, {(job_id, first.execution.id): begun})
    claims.requeue([first])
    with running(make_worker()):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED


def test_a_job_that_a_worker_took_in_time_and_never_began_is_too_late_after_it(
    make_worker: Callable[[], BatchWorker], jobs: Queue, connection: Redis
) -> None:
    job_id = ask(jobs, wait_s=-1)
    first = claims.take(jobs, "gpu-1")
    assert first is not None
    claims.requeue([first])
    with running(make_worker()):
        record = job_in(connection, job_id)
    assert record.error is not None
    assert record.error.code == "deadline_exceeded"


def test_a_deadline_does_not_begin_anew_when_a_job_is_put_back(jobs: Queue) -> None:
    ask(jobs, wait_s=60)
    first = claims.take(jobs, "gpu-1")
    assert first is not None
    claims.requeue([first])
    second = claims.take(jobs, "gpu-2")
    assert second is not None
    assert second.job.kwargs["deadline"] == first.job.kwargs["deadline"]
    assert second.job.ttl is None


def test_a_deadline_that_is_none_harms_nobody() -> None:
    require_in_time({})
    require_in_time({"deadline": None})
    with pytest.raises(MalformedJob):
        require_in_time({"deadline": "tomorrow"})
    with pytest.raises(DeadlineExceeded):
        require_in_time({"deadline": 1.0})
