"""Each move of a job that its caller wants to hear of puts one webhook into the queue, with it."""

from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from contract import identity, queue
from contract.claims import requeue, take
from contract.endings import cancel, commit, fail
from contract.errors import ExecutionLost, JobEnded, NotFinite
from contract.job import read_job
from contract.request import GenerateRequest
from contract.subscription import EVENT_TYPES
from contract.sweep import sweep
from contract.webhooks import WebhookEvent, aside, webhook_queue
from tests.contract.conftest import Ask
from tests.contract.records import rq_job, taken
from tests.contract.samples import TTL_S, job_request, job_result

URL = "https://example.com/hook"


def ask_with(jobs: Queue, **fields: Any) -> str:
    asked = GenerateRequest.model_validate({"prompt": "a", "webhook": URL} | fields)
    job_id = identity.new_job_id()
    queue.enqueue(jobs, job_id, job_request(), TTL_S, meta=aside(asked))
    return job_id


def deliveries(connection: Redis) -> list[Job]:
    return webhook_queue(connection).get_jobs()


def told(delivery: Job) -> WebhookEvent:
    return WebhookEvent.model_validate(delivery.kwargs["event"])


def test_a_success_is_told_by_links_and_ids(connection: Redis, jobs: Queue) -> None:
    job_id = ask_with(jobs, tags={"order": "7"})
    commit(taken(jobs), job_result("a", "b"))
    (delivery,) = deliveries(connection)
    event, record = told(delivery), read_job(connection, job_id)
    assert record is not None
    assert delivery.kwargs["url"] == URL
    assert (event.type, event.data.id, event.data.state) == ("job.succeeded", job_id, "succeeded")
    assert [image.sha256 for image in event.data.images] == ["a", "b"]
    assert [image.seed for image in event.data.images] == [7, 8]
    assert event.data.images[1].url == f"/jobs/{job_id}/images/1"
    assert event.data.tags == record.tags == {"order": "7"}
    assert event.data.created_at == record.created_at
    assert event.data.ended_at == record.ended_at
    assert event.data.error is None
    assert delivery.id.startswith("msg_")
    assert URL not in (delivery.description or "")


def test_a_failure_is_told_with_its_code(connection: Redis, jobs: Queue) -> None:
    ask_with(jobs)
    fail(taken(jobs), NotFinite("It became NaN."))
    (delivery,) = deliveries(connection)
    event = told(delivery)
    assert (event.type, event.data.state) == ("job.failed", "failed")
    assert event.data.error is not None
    assert (event.data.error.code, event.data.error.detail) == ("not_finite", "It became NaN.")


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancel_is_told_whether_it_waited_or_ran(
    connection: Redis, jobs: Queue, is_running: bool
) -> None:
    job_id = ask_with(jobs)
    if is_running:
        taken(jobs)
    cancel(connection, job_id)
    (delivery,) = deliveries(connection)
    event, record = told(delivery), read_job(connection, job_id)
    assert record is not None
    assert (event.type, event.data.ended_at) == ("job.cancelled", record.ended_at)


def test_an_end_that_is_repeated_or_refused_is_told_once(connection: Redis, jobs: Queue) -> None:
    job_id = ask_with(jobs)
    held = taken(jobs)
    commit(held, job_result("a"))
    commit(held, job_result("a"))
    with pytest.raises(JobEnded):
        cancel(connection, job_id)
    with pytest.raises(ExecutionLost):
        fail(taken_again(held), NotFinite("It became NaN."))
    assert [told(each).type for each in deliveries(connection)] == ["job.succeeded"]


def taken_again(held: Any) -> Any:
    """The claim of a worker that lost the job before it ended."""
    job, lost = held.job, held.execution
    other = type(lost)("another", lost.job_id, job.connection, lost.worker_name)
    return type(held)(held.queue, job, other)


def test_the_start_is_told_to_who_asks_for_it_and_once(connection: Redis, jobs: Queue) -> None:
    ask_with(jobs, webhook_events=list(EVENT_TYPES))
    requeue([taken(jobs)])
    assert take(jobs, "gpu-2") is not None
    (delivery,) = deliveries(connection)
    event = told(delivery)
    assert (event.type, event.data.state) == ("job.started", "running")
    assert (event.data.ended_at, event.data.images) == (None, [])


def test_only_what_was_asked_for_is_told(connection: Redis, jobs: Queue, ask: Ask) -> None:
    ask_with(jobs, webhook_events=["job.failed"])
    ask()
    for _ in range(2):
        commit(taken(jobs), job_result("a"))
    assert deliveries(connection) == []


def test_a_webhook_that_cannot_be_read_holds_up_no_end(connection: Redis, jobs: Queue) -> None:
    job_id = identity.new_job_id()
    meta = {"webhook": {"url": 3}, "tags": [1]}
    queue.enqueue(jobs, job_id, job_request(), TTL_S, meta=meta)
    commit(taken(jobs), job_result("a"))
    record = read_job(connection, job_id)
    assert record is not None
    assert (record.result, record.tags) == (job_result("a"), {})
    assert deliveries(connection) == []


def test_a_job_keeps_its_webhook_when_it_moves(connection: Redis, jobs: Queue) -> None:
    ask_with(jobs)
    held = taken(jobs)
    connection.zadd(f"darkroom:leases:{jobs.name}", {held.execution.composite_key: 1})
    assert sweep(jobs) == [held.job_id]
    commit(taken(jobs), job_result("a"))
    assert len(deliveries(connection)) == 1


def test_it_stays_small_and_is_the_same_at_every_attempt(connection: Redis, jobs: Queue) -> None:
    ask_with(jobs, tags={str(n): "🎨" * 100 for n in range(9)})
    commit(taken(jobs), job_result(*("a" * 64 for _ in range(10))))
    (delivery,) = deliveries(connection)
    again = rq_job(connection, delivery.id)
    bodies = {told(each).body("https://pictures.example.com") for each in (delivery, again)}
    (body,) = bodies
    assert len(body) < 20_000
    assert body.count(b'"https://pictures.example.com/jobs/') == 11
