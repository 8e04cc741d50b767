"""The records of jobs in Redis, as the tests look at them."""

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
from contract.job import JobState, read_job
from contract.transactions import Claim

WORKER = "gpu-1"


def taken(jobs: Queue, worker: str = WORKER) -> Claim:
    found = take(jobs, worker)
    assert found is not None
    return found


def state(connection: Redis, job_id: str) -> JobState:
    record = read_job(connection, job_id)
    assert record is not None
    return record.state


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
