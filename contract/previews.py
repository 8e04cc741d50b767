"""Previews of pictures that are being developed: small, few, and soon gone.

Their bytes stand apart from the events that announce them, so that a history stays small however
long it is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from rq.job import Job

from contract.events import (
    KIND_FIELD,
    MOST_EVENTS,
    NEWS_CHANNEL,
    EventKind,
    JobEvent,
    events_key,
)
from contract.leases import EXECUTION_FIELD

PREVIEWS_TTL_S = 300
"""From a job's last preview on."""

MOST_BYTES = 32 * 1024
"""Of one preview. A job has at most a hundred of them."""

MEDIA_TYPE = "image/webp"

# Only for the execution that holds the job, and each preview once: a picture that is developed
# again from its last checkpoint on looks the same.
_WRITE = f"""
if redis.call('HGET', KEYS[1], '{EXECUTION_FIELD}') ~= ARGV[1] then return end
if redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4]) == 0 then return end
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('XADD', KEYS[3], 'NOMKSTREAM', 'MAXLEN', '~', {MOST_EVENTS}, '*',
    '{KIND_FIELD}', '{EventKind.PREVIEW}', unpack(ARGV, 6))
redis.call('PUBLISH', '{NEWS_CHANNEL}', ARGV[5])
"""


@dataclass(frozen=True, slots=True)
class JobPreview:
    """What a picture of a job will look like."""

    image: int  # the picture's number
    index: int  # of this preview among those of the picture, from 0
    step: int  # of the steps that were asked for
    width: int  # pixels
    height: int  # pixels
    content: bytes  # of MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class ShownPreview:
    number: int  # of the previews of the job so far
    content: bytes  # of MEDIA_TYPE


def write_preview(connection: Redis, job_id: str, execution_id: str, preview: JobPreview) -> None:
    """Shows it to whoever listens to the job. One that is too large is left out."""
    if len(preview.content) > MOST_BYTES:
        return
    names = ("image", "index", "step", "width", "height")
    fields: list[Any] = [part for name in names for part in (name, getattr(preview, name))]
    keys = Job.key_for(job_id), previews_key(job_id), events_key(job_id)
    field = _field(preview.image, preview.index)
    values = execution_id, PREVIEWS_TTL_S, field, preview.content, job_id
    connection.eval(_WRITE, len(keys), *keys, *cast("Any", values), *fields)


def preview_contents(
    connection: Redis, events: Sequence[tuple[str, JobEvent]]
) -> list[bytes | None]:
    """The bytes of each preview that was announced, by its job and event; None where they have
    expired. One round trip."""
    pipeline = connection.pipeline(transaction=False)
    for job_id, event in events:
        field = _field(int(event.fields["image"]), int(event.fields["index"]))
        pipeline.hget(previews_key(job_id), field)
    return cast("list[bytes | None]", pipeline.execute())


def latest_preview(connection: Redis, job_id: str) -> ShownPreview | None:
    """The last one of the job's first picture that is as far as any; None where none is kept."""
    fields = cast("list[bytes]", connection.hkeys(previews_key(job_id)))
    if not fields:
        return None
    places = [tuple(map(int, field.decode().split("."))) for field in fields]
    image, index = max(places, key=lambda place: (place[1], -place[0]))
    content = cast("bytes | None", connection.hget(previews_key(job_id), _field(image, index)))
    return ShownPreview(len(fields), content) if content is not None else None


def previews_key(job_id: str) -> str:
    return f"darkroom:previews:{job_id}"


def _field(image: int, index: int) -> str:
    return f"{image}.{index}"
