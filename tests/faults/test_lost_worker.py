"""A worker is frozen, another one killed: each job still ends in one result, on the other."""

import signal

from redis import Redis

from contract import queue
from contract.job import JobState
from tests.faults.conftest import MODEL, Ask, Workers
from tests.waiting import job_in, until


def holder(connection: Redis, job_id: str) -> str:
    """The name of the worker that runs the job."""
    record = job_in(connection, job_id, JobState.RUNNING)
    assert record.worker is not None
    return record.worker.partition(".")[0]


def test_a_job_whose_worker_is_frozen_or_killed_ends_once_on_another(
    workers: Workers, ask: Ask, connection: Redis
) -> None:
    first = ask(images=4)
    frozen = holder(connection, first)
    workers[frozen].send_signal(signal.SIGSTOP)
    [other] = workers.keys() - {frozen}
    until(lambda: job_in(connection, first, *JobState).worker not in (None, frozen))
    record = job_in(connection, first)
    assert record.state is JobState.SUCCEEDED
    assert record.worker is not None
    assert record.worker.startswith(other)

    workers[frozen].send_signal(signal.SIGCONT)
    second = ask(images=4)
    killed = holder(connection, second)
    workers[killed].kill()
    assert job_in(connection, second).state is JobState.SUCCEEDED
    for job_id in (first, second):
        assert connection.xlen(f"rq:results:{job_id}") == 1
    jobs = queue.model_queue(connection, MODEL)
    until(lambda: connection.zcard(f"darkroom:leases:{jobs.name}") == 0)
    assert connection.llen(jobs.intermediate_queue_key) == 0
    assert jobs.started_job_registry.get_job_ids(cleanup=False) == []
