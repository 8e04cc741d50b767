"""The function behind every webhook's RQ job. A stock `rq worker --with-scheduler` with the same
settings can run it too, one at a time."""

import logging
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from rq import Retry, get_current_job

from contract.settings import load_settings
from contract.webhooks import WebhookEvent
from courier.delivery import Delivery, Verdict
from courier.schedule import INTERVALS_S, pause_s
from courier.settings import CourierSettings

logger = logging.getLogger(__name__)


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
    attempt = _delivery().attempt(job.id, url, WebhookEvent.model_validate(event))
    failures = (job.number_of_retries or 0) + 1
    if attempt.verdict is Verdict.DELIVERED:
        logger.info("webhook %s: delivered, %s", job.id, attempt.reason)
        return attempt.reason
    pause = None
    if attempt.verdict is Verdict.AGAIN:
        pause = pause_s(failures, attempt.asked_s, random.random())
    if pause is None:
        job.retries_left = 0  # an honest failure is final
        raise NotDelivered(f"given up after {failures} attempts: {attempt.reason}")
    logger.info("webhook %s: again in %d s: %s", job.id, pause, attempt.reason)
    return Retry(max=len(INTERVALS_S) + 1, interval=pause)


@cache
def _delivery() -> Delivery:
    """RQ calls the function by its name and hands it nothing: the first job makes it for all."""
    settings = load_settings(CourierSettings)
    return Delivery(settings.signing_keys, settings.destinations, settings.public_url)
