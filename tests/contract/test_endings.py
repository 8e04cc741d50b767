"""Jobs end, once, and RQ's own records tell the truth after it."""

import json
from typing import Any

import pytest
from redis import Redis, WatchError
from redis.client import Pipeline
from rq import Queue
from rq.job import Job, JobStatus, requeue_job
from rq.registry import (
    CanceledJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
)
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from contract import queue
from contract.claims import requeue, take
from contract.endings import cancel, commit, fail
from contract.errors import ExecutionLost, JobEnded, JobNotFound, NotFinite
from contract.events import ENDED_CHANNEL
from contract.identity import new_job_id
from contract.job import ERROR_FIELD, JobState, read_job
from contract.workers import WORKER_TTL_S
from tests.contract.conftest import Ask
from tests.contract.records import (
    WORKER,
    assert_all_expire,
    assert_only_the_second_ends,
    in_registry,
    rq_job,
    snapshot,
    started,
    state,
    taken,
)
from tests.contract.samples import TTL_S, job_request, job_result


def test_commit_ends_the_job_in_rqs_records(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    commit(taken(jobs), job_result("a"))
    job = rq_job(connection, job_id)
    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == job_result("a").model_dump(mode="json")
    assert job.ended_at is not None
    assert started(jobs) == []
    assert in_registry(jobs, FinishedJobRegistry) == [job_id]
    assert job.get_executions() == []
    latest = job.latest_result()
    assert latest is not None
    assert latest.type is Result.Type.SUCCESSFUL
    worker = connection.hgetall(BaseWorker.redis_worker_namespace_prefix + WORKER)
    assert worker[b"successful_job_count"] == b"1"
    assert 0 < connection.ttl(BaseWorker.redis_worker_namespace_prefix + WORKER) <= WORKER_TTL_S
    assert_all_expire(connection)


def test_commit_repeated_changes_nothing(connection: Redis, jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    commit(held, job_result("a"))
    before = snapshot(connection)
    commit(held, job_result("a"))
    assert snapshot(connection) == before


def test_commit_after_a_cancel_is_lost_and_changes_nothing(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = taken(jobs)
    cancel(connection, job_id)
    before = snapshot(connection)
    with pytest.raises(ExecutionLost):
        commit(held, job_result("a"))
    with pytest.raises(ExecutionLost):
        fail(held, NotFinite("It became NaN."))
    assert snapshot(connection) == before


def test_only_the_second_claim_of_a_requeued_job_can_end_it(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    first = taken(jobs)
    requeue([first])
    second = taken(jobs)
    assert_only_the_second_ends(connection, job_id, first, second)
    assert len(rq_job(connection, job_id).results()) == 1


def test_fail_keeps_the_code_and_uses_no_retry(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    fail(held, NotFinite("It became NaN."))
    fail(held, NotFinite("It became NaN."))
    record = read_job(connection, job_id)
    assert record is not None
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert (record.error.code, record.error.detail) == ("not_finite", "It became NaN.")
    job = rq_job(connection, job_id)
    assert job.retries_left == queue.RESCUES
    assert job.get_status() is JobStatus.FAILED
    assert in_registry(jobs, FailedJobRegistry) == [job_id]
    assert started(jobs) == []
    latest = job.latest_result()
    assert latest is not None
    assert latest.exc_string == "not_finite: It became NaN."
    worker = connection.hgetall(BaseWorker.redis_worker_namespace_prefix + WORKER)
    assert worker[b"failed_job_count"] == b"1"
    assert_all_expire(connection)


def test_a_failed_job_that_somebody_requeues_runs_anew(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    fail(taken(jobs), NotFinite("It became NaN."))
    requeue_job(job_id, connection, JSONSerializer)
    assert state(connection, job_id) is JobState.QUEUED
    again = taken(jobs)
    commit(again, job_result("a"))
    record = read_job(connection, job_id)
    assert record is not None
    assert (record.state, record.error) == (JobState.SUCCEEDED, None)
    assert record.result == job_result("a")
    assert connection.hget(Job.key_for(job_id), ERROR_FIELD) is None


@pytest.mark.parametrize("succeeded", [True, False])
def test_an_end_holds_though_rqs_sweep_queues_the_job_at_the_same_moment(
    connection: Redis, jobs: Queue, ask: Ask, succeeded: bool
) -> None:
    job_id = ask()
    held = taken(jobs)
    abandoned = rq_job(connection, job_id)  # what the sweep reads, before the end
    if succeeded:
        commit(held, job_result("a"))
    else:
        fail(held, NotFinite("It became NaN."))
    ended = read_job(connection, job_id)
    with connection.pipeline() as pipeline:
        abandoned.retry(jobs, pipeline)
        pipeline.execute()
    assert state(connection, job_id) is JobState.QUEUED
    with connection.pubsub() as news:
        news.subscribe(ENDED_CHANNEL)
        assert news.get_message(timeout=3) is not None
        assert take(jobs, "gpu-2") is None
        message = news.get_message(timeout=3)
    assert message is not None
    assert message["data"].decode() == job_id
    found = read_job(connection, job_id)
    assert ended is not None
    assert found is not None
    assert (found.state, found.result, found.error) == (ended.state, ended.result, ended.error)
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_cancel_holds_though_rqs_sweep_queues_the_job_at_the_same_moment(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    taken(jobs)
    abandoned = rq_job(connection, job_id)
    cancel(connection, job_id)
    with connection.pipeline() as pipeline:
        abandoned.retry(jobs, pipeline)
        pipeline.execute()
    assert take(jobs, "gpu-2") is None
    assert state(connection, job_id) is JobState.CANCELLED


def test_cancel_takes_a_queued_job_out_of_the_queue(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    gone, kept = ask(), ask()
    cancel(connection, gone)
    assert state(connection, gone) is JobState.CANCELLED
    assert jobs.get_job_ids() == [kept]
    registry = CanceledJobRegistry(jobs.name, connection, serializer=JSONSerializer)
    assert registry.get_job_ids() == [gone]
    assert 0 < connection.ttl(Job.key_for(gone)) <= TTL_S


def test_cancel_of_a_running_job_tells_its_worker(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    taken(jobs)
    with connection.pubsub() as commands:
        commands.subscribe(f"rq:pubsub:{WORKER}")
        assert commands.get_message(timeout=3) is not None
        cancel(connection, job_id)
        message = commands.get_message(timeout=3)
    assert message is not None
    told = json.loads(message["data"])
    assert (told["command"], told["job_id"]) == ("stop-job", job_id)
    assert state(connection, job_id) is JobState.CANCELLED
    assert started(jobs) == []
    assert rq_job(connection, job_id).get_executions() == []
    assert_all_expire(connection)


def test_cancel_of_what_has_ended_or_never_was_is_refused(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    commit(taken(jobs), job_result("a"))
    before = snapshot(connection)
    with pytest.raises(JobEnded, match="succeeded"):
        cancel(connection, job_id)
    with pytest.raises(JobNotFound):
        cancel(connection, new_job_id())
    assert snapshot(connection) == before


def test_a_registry_is_kept_as_long_as_any_job_in_it(connection: Redis, jobs: Queue) -> None:
    for ttl_s in (TTL_S, 2 * TTL_S, TTL_S):
        queue.enqueue(jobs, new_job_id(), job_request(), ttl_s)
        commit(taken(jobs), job_result("a"))
    assert TTL_S < connection.ttl(jobs.finished_job_registry.key) <= 2 * TTL_S


def test_every_end_is_published(connection: Redis, jobs: Queue, ask: Ask) -> None:
    ids = [ask() for _ in range(3)]
    with connection.pubsub() as news:
        news.subscribe(ENDED_CHANNEL)
        assert news.get_message(timeout=3) is not None
        commit(taken(jobs), job_result("a"))
        fail(taken(jobs), NotFinite("It became NaN."))
        cancel(connection, ids[2])
        heard = [news.get_message(timeout=3) for _ in ids]
    assert [message["data"].decode() for message in heard if message] == ids


def test_a_cancel_whose_answer_was_lost_is_found(
    connection: Redis, jobs: Queue, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = ask()
    taken(jobs)
    execute = Pipeline._execute_transaction
    lost: list[bool] = []

    def lose_first(pipeline: Pipeline, *arguments: Any) -> Any:
        answer = execute(pipeline, *arguments)
        if not lost:
            lost.append(True)
            raise WatchError("as redis-py says where a connection breaks that watches")
        return answer

    monkeypatch.setattr(Pipeline, "_execute_transaction", lose_first)
    with connection.pubsub() as commands:
        commands.subscribe(f"rq:pubsub:{WORKER}")
        assert commands.get_message(timeout=3) is not None
        cancel(connection, job_id)
        assert commands.get_message(timeout=3) is not None
    assert lost
    assert state(connection, job_id) is JobState.CANCELLED
    with pytest.raises(JobEnded):
        cancel(connection, job_id)
