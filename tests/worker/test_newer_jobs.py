"""Workers of two releases at one queue, with jobs of both."""

from collections.abc import Callable

import pytest
from redis import Redis
from rq import Queue

from contract.job import JobState, read_job
from tests.newer_jobs import NEWER, ask_newer
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker import batch_worker
from worker.batch_worker import BatchWorker

LONG = 150


@pytest.fixture
def make_newer(make_worker: Callable[[], BatchWorker]) -> Callable[[], BatchWorker]:
    def make() -> BatchWorker:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BatchWorker, "contract_version", NEWER)
            worker = make_worker()
        worker.contract_version = NEWER
        return worker

    return make


def known_to_be_newer(worker: BatchWorker) -> int:
    return len(worker._passed._passed)


def test_an_older_worker_works_behind_newer_jobs_and_a_newer_one_takes_them(
    worker: BatchWorker,
    make_newer: Callable[[], BatchWorker],
    ask: Ask,
    jobs: Queue,
    connection: Redis,
) -> None:
    newer = [ask_newer(jobs) for _ in range(3)]
    until(lambda: known_to_be_newer(worker) == len(newer))
    assert job_in(connection, ask(steps=2)).worker == worker.name
    busy = ask(steps=LONG)
    job_in(connection, busy, JobState.RUNNING)
    assert job_in(connection, ask(steps=2)).worker == worker.name  # between two steps
    assert [state(connection, each) for each in newer] == [JobState.QUEUED] * len(newer)
    with running(make_newer()) as other:
        for each in newer:
            record = job_in(connection, each)
            assert (record.state, record.worker) == (JobState.SUCCEEDED, other.name), record.error
    until(lambda: known_to_be_newer(worker) == 0)
    assert job_in(connection, ask(steps=2)).worker == worker.name


def test_of_two_that_wait_the_newer_one_takes_a_newer_job(
    worker: BatchWorker, make_newer: Callable[[], BatchWorker], jobs: Queue, connection: Redis
) -> None:
    with running(make_newer()) as other:
        for _ in range(4):
            record = job_in(connection, ask_newer(jobs))
            assert (record.state, record.worker) == (JobState.SUCCEEDED, other.name)


def test_an_older_worker_does_not_spin_on_newer_jobs(
    worker: BatchWorker, jobs: Queue, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither pops them again nor looks without a pause."""
    pauses: list[float] = []
    wait = worker._stopping.wait

    def noted(timeout_s: float) -> bool:
        pauses.append(timeout_s)
        return wait(timeout_s)

    monkeypatch.setattr(worker._stopping, "wait", noted)
    job_id = ask_newer(jobs)
    until(lambda: known_to_be_newer(worker) == 1 and pauses)
    connection.config_resetstat()
    before = len(pauses)
    until(lambda: len(pauses) >= before + 3)
    used = connection.info("commandstats")
    assert "cmdstat_blmove" not in used
    assert used["cmdstat_lrange"]["calls"] <= len(pauses) - before + 2
    assert set(pauses) == {batch_worker.IDLE_WAIT_S}
    record = read_job(connection, job_id)
    assert record is not None
    assert record.queue_position == 1


def state(connection: Redis, job_id: str) -> JobState:
    record = read_job(connection, job_id)
    assert record is not None
    return record.state
