"""What happens to a job: its history as a stream of Redis, and the news of it.

Each move of a job writes its event in the same transaction, so that the history is exactly what
happened: `queued`, then `started` and `requeued` in turn, then one end. What happens in between,
`progress` and `preview`, goes to the same stream: its ids are then one order of all events, and the
last one that a reader has seen says exactly what it lacks; with two streams an event could get an
id below one that was read before it. Only the execution that holds the job writes these, so none
comes after the end. They are few (a step is told once, and the bytes of a preview stand elsewhere)
and small, and expire with the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.utils import as_text

ENDED_CHANNEL = "darkroom:ended"
NEWS_CHANNEL = "darkroom:news"
"""Says which jobs have new events: their ids, with a space between."""

OPEN_TTL_S = 24 * 3600
"""How long the history of a job is kept that has not ended, from its last event on."""
MOST_EVENTS = 1000

KIND_FIELD = "event"


class EventKind(StrEnum):
    QUEUED = "queued"
    STARTED = "started"
    PROGRESS = "progress"
    PREVIEW = "preview"
    REQUEUED = "requeued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED)

    @property
    def is_move(self) -> bool:
        """Whether it takes the job from one state to another."""
        return self not in (EventKind.PROGRESS, EventKind.PREVIEW)


class RequeueReason(StrEnum):
    HANDED_BACK = "handed back"  # its worker stops
    LEASE_EXPIRED = "lease expired"  # its worker is dead, frozen or cut off
    MOVED_BY_RQ = "moved by RQ"  # by its sweep, which has no fence and tells nobody
    NEVER_CLAIMED = "never claimed"  # its worker died before it was its worker


@dataclass(frozen=True, slots=True)
class JobEvent:
    id: str  # of the stream's entry: milliseconds of Redis' clock, a dash, a number
    kind: EventKind
    fields: Mapping[str, str]
    content: bytes | None = None  # of a preview, where it is still kept

    @property
    def place(self) -> tuple[int, int]:
        """Its id as what can be compared."""
        milliseconds, _, number = self.id.partition("-")
        return int(milliseconds), int(number)

    @property
    def at(self) -> float:
        """Seconds since the epoch, by Redis' clock."""
        return int(self.id.partition("-")[0]) / 1000


def note_event(
    pipeline: Pipeline, job_id: str, kind: EventKind, ttl_s: int = OPEN_TTL_S, **fields: str | int
) -> None:
    """Part of the transaction that moves the job."""
    entry: dict[Any, Any] = {KIND_FIELD: kind, **fields}
    pipeline.xadd(events_key(job_id), entry, maxlen=MOST_EVENTS)
    pipeline.expire(events_key(job_id), ttl_s)
    if kind is not EventKind.QUEUED:  # nobody can listen to a job before it is accepted
        pipeline.publish(NEWS_CHANNEL, job_id)


def note_end(
    pipeline: Pipeline, job_id: str, kind: EventKind, ttl_s: int, **fields: str | int
) -> None:
    """Likewise, for the last event, which is kept as long as the job's record."""
    note_event(pipeline, job_id, kind, ttl_s, **fields)
    publish_end(pipeline, job_id)


def publish_end(pipeline: Pipeline, job_id: str) -> None:
    """Wakes all who wait for the job's end."""
    pipeline.publish(ENDED_CHANNEL, job_id)


def read_events(connection: Redis, job_id: str) -> list[JobEvent]:
    """The moves of a job, oldest first; none where its history has expired."""
    entries: Any = connection.xrange(events_key(job_id))
    events = [job_event(entry, raw) for entry, raw in entries]
    return [event for event in events if event.kind.is_move]


def events_key(job_id: str) -> str:
    return f"darkroom:events:{job_id}"


def job_event(entry: bytes, raw: Mapping[Any, Any]) -> JobEvent:
    """From an entry of the stream."""
    fields = {as_text(name): as_text(value) for name, value in raw.items()}
    return JobEvent(as_text(entry), EventKind(fields.pop(KIND_FIELD)), fields)
