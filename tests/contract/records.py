"""The records of jobs in Redis, as the tests look at them."""

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import (
    FailedJobRegistry,
    FinishedJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer

from contract.claims import take
from contract.endings import commit
from contract.errors import ExecutionLost
from contract.job import JobState, read_job
from contract.transactions import Claim
from tests.contract.samples import job_result

WORKER = "gpu-1"


def taken(jobs: Queue, worker: str = WORKER) -> Claim:
    found = take(jobs, worker)
    assert found is not None
    return found


def state(connection: Redis, job_id: str) -> JobState:
    record = read_job(connection, job_id)
    assert record is not None
    return record.state


def error_code(connection: Redis, job_id: str) -> str:
    record = read_job(connection, job_id)
    assert record is not None
    assert record.error is not None
    return record.error.code


def assert_only_the_second_ends(
    connection: Redis, job_id: str, first: Claim, second: Claim
) -> None:
    """Of two claims of one job, the first is refused and changes nothing."""
    with pytest.raises(ExecutionLost):
        commit(first, job_result("a"))
    commit(second, job_result("b"))
    record = read_job(connection, job_id)
    assert record is not None
    assert record.result == job_result("b")


def rq_job(connection: Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=connection, serializer=JSONSerializer)


def started(jobs: Queue) -> list[str]:
    registry = StartedJobRegistry(jobs.name, jobs.connection, serializer=JSONSerializer)
    return [str(job_id) for job_id in registry.get_job_ids(cleanup=False)]


def in_registry(jobs: Queue, registry: type[FinishedJobRegistry | FailedJobRegistry]) -> list[str]:
    held = registry(jobs.name, jobs.connection, serializer=JSONSerializer)
    return [str(job_id) for job_id in held.get_job_ids(cleanup=False)]


def snapshot(connection: Redis) -> dict[bytes, bytes | None]:
    return {key: connection.dump(key) for key in connection.keys("*")}


def assert_all_expire(connection: Redis) -> None:
    """Every record of a job has a TTL; RQ's set of queues has none."""
    lasting = {key for key in connection.keys("*") if connection.ttl(key) == -1}
    assert lasting == {b"rq:queues"}
