"""The courier on a real queue: RQ's records tell the truth, and nothing that was to be told is
lost."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from contract import identity, queue
from contract.connections import connect
from contract.endings import commit
from contract.origin import UNKNOWN, Origin
from contract.request import GenerateRequest
from contract.webhooks import FAILED_TTL_S, aside, webhook_queue
from courier import tasks
from courier.courier_worker import CourierWorker
from tests.collector import ERROR, Collector
from tests.contract.records import taken
from tests.contract.samples import MODEL, TTL_S, job_request, job_result
from tests.courier.receiver import Receiver
from tests.courier.samples import SECRETS
from tests.waiting import until


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DARKROOM_WEBHOOK_SECRET", SECRETS[0])
    monkeypatch.setenv("DARKROOM_WEBHOOK_NETWORKS", "127.0.0.1/32")
    _begin_anew()
    yield
    _begin_anew()


def _begin_anew() -> None:
    """The courier's functions read the settings as in a process of their own."""
    tasks._delivery.cache_clear()
    tasks.witness.cache_clear()


@pytest.fixture
def hooks(connection: Redis) -> Queue:
    return webhook_queue(connection)


@contextmanager
def courier(redis_url: str, threads: int = 4) -> Iterator[CourierWorker]:
    with connect(redis_url, timeout_s=3.0) as connection:
        worker = CourierWorker(webhook_queue(connection), threads)
        thread = Thread(target=worker.work)
        thread.start()
        yield worker
        worker.request_stop()
        thread.join(20)
        assert not thread.is_alive()


def end_a_job(connection: Redis, url: str, origin: Origin = UNKNOWN) -> str:
    """The id of a job that has just succeeded."""
    jobs = queue.model_queue(connection, MODEL)
    job_id = identity.new_job_id()
    asked = GenerateRequest(prompt="a", webhook=url)
    queue.enqueue(jobs, job_id, job_request(), TTL_S, meta=aside(asked), origin=origin)
    commit(taken(jobs), job_result("a"))
    return job_id


def only(hooks: Queue) -> Job:
    (job,) = hooks.get_jobs()
    return job


def in_state(job: Job, status: JobStatus) -> Job:
    until(lambda: job.get_status() is status)
    job.refresh()  # type: ignore[no-untyped-call]
    return job


def test_a_job_that_ends_is_told_to_its_receiver(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    job_id = end_a_job(connection, receiver.url)
    delivery = only(hooks)
    with courier(redis_url):
        received = receiver.next()
        in_state(delivery, JobStatus.FINISHED)
    assert received.headers["webhook-id"] == delivery.id
    assert received.verified(SECRETS[0])["data"]["id"] == job_id
    assert delivery.return_value() == "the receiver answered 204"
    assert receiver.received.empty()


def test_it_is_sent_again_with_the_same_id_until_it_is_taken(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    receiver.answer(500)
    receiver.answer(503, Retry_After="4000")
    end_a_job(connection, receiver.url)
    delivery, scheduled = only(hooks), ScheduledJobRegistry(queue=hooks)
    pauses = []
    with courier(redis_url):
        first = receiver.next()
        for _ in range(2):
            in_state(delivery, JobStatus.SCHEDULED)
            due = until(lambda: connection.zscore(scheduled.key, delivery.id))
            assert delivery.enqueued_at is not None
            assert delivery.ended_at is not None
            pauses.append(due - delivery.ended_at.timestamp())
            connection.zadd(scheduled.key, {delivery.id: 1})  # its time has come
            again = receiver.next()
            assert again.body == first.body
            assert again.headers["webhook-id"] == first.headers["webhook-id"]
            again.verified(SECRETS[0])
        in_state(delivery, JobStatus.FINISHED)
    assert 3 <= pauses[0] <= 7
    assert 3998 <= pauses[1] <= 4002
    assert delivery.number_of_retries == 2


def test_a_receiver_that_is_gone_ends_it_in_rqs_records(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    receiver.answer(410)
    end_a_job(connection, receiver.url)
    delivery = only(hooks)
    with courier(redis_url):
        in_state(delivery, JobStatus.FAILED)
    failed = FailedJobRegistry(queue=hooks)
    assert failed.get_job_ids(cleanup=False) == [delivery.id]
    latest = delivery.latest_result()
    assert latest is not None
    assert "given up after 1 attempts: the receiver answered 410" in (latest.exc_string or "")
    assert receiver.url not in (latest.exc_string or "")
    assert 0 < connection.ttl(delivery.key) <= FAILED_TTL_S


def test_after_the_last_attempt_it_is_given_up(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    receiver.answer(500)
    end_a_job(connection, receiver.url)
    delivery = only(hooks)
    connection.hset(delivery.key, "number_of_retries", 7)
    with courier(redis_url):
        in_state(delivery, JobStatus.FAILED)
    assert delivery.number_of_retries == 7
    assert receiver.next().verified(SECRETS[0])


def test_what_a_dead_courier_held_is_sent_by_another(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    end_a_job(connection, receiver.url)
    delivery = only(hooks)
    dead = CourierWorker(hooks, 1)
    dead.register_birth()  # type: ignore[no-untyped-call]
    popped = dead._next()
    assert popped is not None
    execution = dead.prepare_execution(popped)
    dead.prepare_job_execution(popped, remove_from_intermediate_queue=True)  # type: ignore[no-untyped-call]
    started = StartedJobRegistry(hooks.name, connection, serializer=JSONSerializer)
    assert (connection.zscore(started.key, execution.composite_key) or 0) > 0
    connection.zadd(started.key, {execution.composite_key: 1})  # as long after its death
    with courier(redis_url):
        assert receiver.next().headers["webhook-id"] == delivery.id
        in_state(delivery, JobStatus.FINISHED)


def test_a_slow_receiver_holds_up_nobody_else(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, courier(redis_url, threads=2):
        end_a_job(connection, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with silent.accept()[0]:
            for _ in range(3):
                end_a_job(connection, receiver.url)
                receiver.next()
            assert StartedJobRegistry(queue=hooks).get_job_ids(cleanup=False)


def test_a_courier_survives_connections_that_break_and_records_that_cannot_be_read(
    redis_url: str, connection: Redis, hooks: Queue, receiver: Receiver
) -> None:
    connection.hset(Job.key_for("junk"), mapping={"created_at": "yesterday", "data": "junk"})
    connection.rpush(hooks.key, "junk")
    with courier(redis_url) as worker:
        until(lambda: connection.llen(hooks.key) == 0 and connection.exists(worker.key))
        connection.client_kill_filter(_type="normal", skipme=True)
        end_a_job(connection, receiver.url)
        assert receiver.next().verified(SECRETS[0])


def test_each_attempt_is_a_line_and_a_span_of_its_jobs_trace(
    redis_url: str,
    connection: Redis,
    hooks: Queue,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "courier.witness")
    receiver.answer(500)
    trace_id, parent_id = "a" * 32, "b" * 16
    origin = Origin(traceparent=f"00-{trace_id}-{parent_id}-01")
    with Collector() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        job_id = end_a_job(connection, receiver.url, origin)
        delivery = only(hooks)
        with courier(redis_url):
            in_state(delivery, JobStatus.SCHEDULED)
            connection.zadd(ScheduledJobRegistry(queue=hooks).key, {delivery.id: 1})
            in_state(delivery, JobStatus.FINISHED)
        failed = collector.span("webhook", darkroom__webhook__outcome="postponed")
        taken = collector.span("webhook", darkroom__webhook__outcome="delivered")
        tasks.witness().close()
        assert (failed.status, taken.status) == (ERROR, 0)
        assert taken.attributes["darkroom.webhook.attempt"] == 2
        for span in (failed, taken):
            assert (span.trace_id, span.parent_id) == (trace_id, parent_id)
            assert span.attributes["darkroom.job.id"] == job_id
        assert receiver.url not in repr(collector.told)
    told = [each.args for each in caplog.records if each.name == "courier.witness"]
    assert [each["trace_id"] for each in told if isinstance(each, dict)] == [trace_id] * 2
    assert receiver.url not in caplog.text
