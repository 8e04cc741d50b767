"""The function behind every webhook's RQ job. A stock `rq worker --with-scheduler` with the same
settings can run it too, one at a time."""

import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from rq import Retry, get_current_job
from rq.job import Job

from contract.origin import Origin
from contract.settings import load_settings
from contract.tracing import open_spans
from contract.webhooks import WebhookEvent
from courier.delivery import Delivery, Verdict
from courier.schedule import INTERVALS_S, pause_s
from courier.settings import CourierSettings
from courier.witness import Tried, Witness


class NotDelivered(Exception):
    """For good; RQ keeps the reason with the failed job."""


def deliver(url: str, event: Mapping[str, Any]) -> Retry | str:
    """Makes one attempt, with the current RQ job's id as the webhook's.

    Returns:
        How it was taken, or when RQ is to make the next attempt.

    Raises:
        NotDelivered: there is none to be made.
    """
    job = get_current_job()
    if job is None:
        raise RuntimeError("courier.tasks.deliver runs inside an RQ worker only")
    told = WebhookEvent.model_validate(event)
    tried = Tried(
        webhook_id=job.id,
        job_id=told.data.id,
        event=told.type,
        attempt=(job.number_of_retries or 0) + 1,
        traceparent=Origin.of(job.meta).traceparent,
    )
    try:
        return _deliver(job, url, told, tried)
    finally:
        witness().tell(tried)


def _deliver(job: Job, url: str, event: WebhookEvent, tried: Tried) -> Retry | str:
    attempt = _delivery().attempt(job.id, url, event)
    tried.reason = attempt.reason
    if attempt.verdict is Verdict.DELIVERED:
        tried.outcome = "delivered"
        return attempt.reason
    pause = None
    if attempt.verdict is Verdict.AGAIN:
        pause = pause_s(tried.attempt, attempt.asked_s, random.random())
    if pause is None:
        tried.outcome = "given_up"
        job.retries_left = 0  # an honest failure is final
        raise NotDelivered(f"given up after {tried.attempt} attempts: {attempt.reason}")
    tried.outcome = "postponed"
    tried.reason += f"; again in {pause} s"
    return Retry(max=len(INTERVALS_S) + 1, interval=pause)


@cache
def _delivery() -> Delivery:
    """RQ calls the function by its name and hands it nothing: the first job makes it for all."""
    settings = load_settings(CourierSettings)
    return Delivery(settings.signing_keys, settings.destinations, settings.public_url)


@cache
def witness() -> Witness:
    """Likewise.

    Raises:
        BadSetting: traces cannot be made.
    """
    return Witness(open_spans(load_settings(CourierSettings), "darkroom-webhooks"))
