from collections.abc import Callable

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from contract import claims
from contract.job import JobState
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker
from worker.sweeper import MAINTENANCE_INTERVAL_S


def test_a_record_that_expired_in_an_outage_comes_back_whole(
    worker: BatchWorker, connection: Redis
) -> None:
    until(lambda: connection.hget(worker.key, "state"))
    connection.delete(worker.key)
    connection.srem("rq:workers", worker.key)
    until(lambda: connection.sismember("rq:workers", worker.key))
    [seen] = BaseWorker.all(connection, serializer=JSONSerializer)
    assert seen.name == worker.name
    assert seen.get_state() == "idle"
    assert 0 < connection.ttl(worker.key) <= 15


def test_a_cancellation_that_was_not_heard_is_found(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(steps=150, images=4)
    job_in(connection, job_id, JobState.RUNNING)
    connection.hset(Job.key_for(job_id), "status", JobStatus.CANCELED)
    until(lambda: worker.engine.is_idle and not worker.executions)
    assert job_in(connection, job_id).state is JobState.CANCELLED


def test_running_jobs_keep_rqs_lease(worker: BatchWorker, ask: Ask, connection: Redis) -> None:
    job_id = ask(steps=150, images=4)
    job_in(connection, job_id, JobState.RUNNING)
    [execution] = until(lambda: list(worker.executions.values()))
    connection.expire(execution.key, 5)
    until(lambda: connection.ttl(execution.key) > 5)
    job_in(connection, job_id)


def test_an_orphan_is_found_beside_records_that_break_rqs_sweep(
    make_worker: Callable[[], BatchWorker], ask: Ask, jobs: Queue, connection: Redis
) -> None:
    orphan = ask()
    held = claims.take(jobs, "dead")
    assert held is not None
    connection.zadd(f"darkroom:leases:{jobs.name}", {held.execution.composite_key: 1})
    connection.set(Job.key_for("text"), "no hash")
    connection.rpush(jobs.intermediate_queue_key, "text")
    with running(make_worker()):
        assert job_in(connection, orphan).state is JobState.SUCCEEDED
    assert not connection.exists(jobs.registry_cleaning_key)
    assert 0 < connection.ttl(f"darkroom:sweep:{jobs.name}") < MAINTENANCE_INTERVAL_S
