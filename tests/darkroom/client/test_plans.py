"""Plans run by hand: each is sent what came of its call, and says what to send next."""

import hashlib

import pytest
from pydantic_core import to_json

from app.views import JOBS_EXAMPLE, QUEUED_EXAMPLE, SUCCEEDED_EXAMPLE
from darkroom import BadAnswer, Retries, Unavailable
from darkroom.client import calls, plans
from darkroom.client.calls import Lost, Reply
from darkroom.client.jobs import Job

RETRIES = Retries(attempts=3, first_s=1.0, most_s=1.0)


def reply(content: object = None, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, to_json(content), 0.0)


def test_the_same_call_is_sent_again_after_the_pause_that_was_asked_for() -> None:
    plan = plans.exchange(calls.ask({"prompt": "a"}, None, is_fresh=True), RETRIES)
    first = next(plan)
    again = plan.send(reply(status=429, retry_after="7"))
    assert first.headers == again.headers
    assert first.headers is not None
    assert set(first.headers) == {"Idempotency-Key", "Cache-Control"}
    assert (first.after_s, again.json) == (0, first.json)
    assert 7.5 <= again.after_s <= 8
    assert 0.5 <= plan.send(Lost("")).after_s <= 1
    with pytest.raises(Unavailable):
        plan.send(reply(status=503))


def test_a_job_is_looked_at_once_in_a_while_where_the_service_holds_no_answer_back() -> None:
    plan = plans.wait("1", RETRIES)
    assert (next(plan).params, plan.send(reply(QUEUED_EXAMPLE)).after_s) == ((("wait", "25"),), 1)
    assert plan.send(reply(QUEUED_EXAMPLE, retry_after="4")).after_s == 4
    with pytest.raises(StopIteration) as end:
        plan.send(reply(SUCCEEDED_EXAMPLE))
    assert end.value.value.state == "succeeded"


def test_a_picture_that_is_not_the_jobs_is_refused() -> None:
    job = Job.model_validate(SUCCEEDED_EXAMPLE)
    plan = plans.pictures(job, RETRIES)
    next(plan)
    with pytest.raises(BadAnswer, match="is not the picture that the job names"):
        plan.send(Reply(200, {}, hashlib.sha256(b"").digest(), 0.0))


def test_a_list_leads_nowhere_else() -> None:
    listing = plans.Listing([], None, RETRIES)
    page = listing.page()
    next(page)
    with pytest.raises(BadAnswer, match="not of the service"):
        page.send(reply(JOBS_EXAMPLE | {"next": "//example.org/jobs"}))
