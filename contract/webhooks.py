"""Webhooks, from the move of a job that they tell of to the queue of their own.

What a webhook says is written down in the very transaction in which it happens, as an RQ job of the
queue that `courier` delivers from: so none is missing, and none is there of what did not happen.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from redis import Redis
from redis.client import Pipeline
from rq import Queue, Retry
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import now

from contract import identity
from contract.job import (
    TAGS_FIELD,
    WEBHOOK_FIELD,
    JobFault,
    PictureRecord,
    subscription_of,
    tags_of,
)
from contract.origin import Origin
from contract.request import GenerateRequest
from contract.subscription import EventType

QUEUE_NAME = "darkroom.webhooks"
"""No model's queue has this name: theirs begin with `darkroom-`."""

TASK = "courier.tasks.deliver"
"""By name, so that nobody else imports it."""

TASK_LIMIT_S = 60
"""How long RQ lets one attempt run; ours ends long before."""

RESCUES = 20
"""How often RQ's sweep may put a delivery back whose courier died; other retries are no concern of
RQ's counter."""

DELIVERED_TTL_S = 3600
FAILED_TTL_S = 24 * 3600
"""How long what became of a delivery is kept for a person to look at."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class PictureLink(_Told):
    url: str
    sha256: str
    seed: int
    bytes: int


class JobLinks(_Told):
    self: str


class JobNews(_Told):
    """A job in short: ids and links, never pictures."""

    id: str
    state: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    images: list[PictureLink]
    error: JobFault | None
    tags: dict[str, str]
    links: JobLinks


class WebhookEvent(_Told):
    """The body of a webhook, in the form of Standard Webhooks."""

    type: EventType
    timestamp: datetime
    data: JobNews

    def body(self, base_url: str) -> bytes:
        """As it is sent, with every link from `base_url` on; the same at every attempt."""
        data = self.data
        images = [
            image.model_copy(update={"url": base_url + image.url}) for image in self.data.images
        ]
        links = JobLinks(self=base_url + data.links.self)
        told = self.model_copy(
            update={"data": data.model_copy(update={"images": images, "links": links})}
        )
        return told.model_dump_json().encode()


def webhook_queue(connection: Redis) -> Queue:
    return Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer)


def ask_waiting(pipeline: Pipeline, queue: Queue) -> None:
    """Queues two commands: how many webhooks wait for a courier, and how many for their time."""
    pipeline.llen(queue.key)
    pipeline.zcard(ScheduledJobRegistry(queue=queue).key)


def aside(asked: GenerateRequest) -> dict[str, Any]:
    """What of a request stands in the `meta` of its RQ job: whom to tell, and the caller's tags."""
    kept: dict[str, Any] = {}
    if asked.subscription is not None:
        kept[WEBHOOK_FIELD] = asked.subscription.model_dump(mode="json")
    if asked.tags:
        kept[TAGS_FIELD] = dict(asked.tags)
    return kept


def note_webhook(
    pipeline: Pipeline,
    job: Job,
    event: EventType,
    *,
    images: Sequence[PictureRecord] = (),
    error: JobFault | None = None,
) -> None:
    """Part of the transaction that moves the job: what its caller is to be told, if anything."""
    subscription = subscription_of(job)
    if subscription is None or event not in subscription.events:
        return
    told = WebhookEvent(type=event, timestamp=now(), data=_news(job, event, images, error))
    queue = webhook_queue(job.connection)
    pipeline.sadd(Queue.redis_queues_keys, queue.key)
    delivery = _delivery(queue, subscription.url, told, Origin.of(job.kwargs))
    queue._enqueue_job(delivery, pipeline=pipeline)


def _delivery(queue: Queue, url: str, event: WebhookEvent, origin: Origin) -> Job:
    """Its id is the webhook's, which stays the same at every attempt."""
    message_id = f"msg_{identity.new_job_id()}"
    return queue.create_job(
        TASK,
        kwargs={"url": url, "event": event.model_dump(mode="json")},
        job_id=message_id,
        timeout=TASK_LIMIT_S,
        result_ttl=DELIVERED_TTL_S,
        failure_ttl=FAILED_TTL_S,
        description=f"webhook {message_id}: {event.type} of job {event.data.id}",
        retry=Retry(max=RESCUES),
        meta=Origin(traceparent=origin.traceparent).arguments,  # which trace it is a part of
    )


def _news(
    job: Job, event: EventType, images: Sequence[PictureRecord], error: JobFault | None
) -> JobNews:
    path = f"/jobs/{job.id}"
    return JobNews(
        id=str(job.id),
        state="running" if event == "job.started" else event.removeprefix("job."),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        images=[
            PictureLink(
                url=f"{path}/images/{n}", sha256=image.sha256, seed=image.seed, bytes=image.bytes
            )
            for n, image in enumerate(images)
        ],
        error=error,
        tags=tags_of(job),
        links=JobLinks(self=path),
    )
