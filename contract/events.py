"""What happens to a job: its history as a stream of Redis, and the news of its end.

Each move of a job writes its event in the same transaction, so that the history is exactly what
happened: `queued`, then `started` and `requeued` in turn, then one end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.utils import as_text

ENDED_CHANNEL = "darkroom:ended"
PROGRESS_TTL_S = 120

OPEN_TTL_S = 24 * 3600
"""How long the history of a job is kept that has not ended, from its last event on."""
MOST_EVENTS = 1000

_KIND = "event"


class EventKind(StrEnum):
    QUEUED = "queued"
    STARTED = "started"
    REQUEUED = "requeued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED)


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

    @property
    def at(self) -> float:
        """Seconds since the epoch, by Redis' clock."""
        return int(self.id.partition("-")[0]) / 1000


def note_event(
    pipeline: Pipeline, job_id: str, kind: EventKind, ttl_s: int = OPEN_TTL_S, **fields: str | int
) -> None:
    """Part of the transaction that moves the job."""
    entry: dict[Any, Any] = {_KIND: kind, **fields}
    pipeline.xadd(events_key(job_id), entry, maxlen=MOST_EVENTS)
    pipeline.expire(events_key(job_id), ttl_s)


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
    """The history of a job, oldest first; empty where there is none any more."""
    entries: Any = connection.xrange(events_key(job_id))
    return [_event(as_text(entry), raw) for entry, raw in entries]


def write_progress(connection: Redis, shares: dict[str, float]) -> None:
    """Notes how far each job is, from 0 to 1: one round trip, and never the job's own hash, whose
    every change would break a transaction that watches it."""
    pipeline = connection.pipeline(transaction=False)
    for job_id, share in shares.items():
        pipeline.set(progress_key(job_id), f"{share:.4f}", ex=PROGRESS_TTL_S)
    pipeline.execute()


def progress_key(job_id: str) -> str:
    return f"darkroom:progress:{job_id}"


def events_key(job_id: str) -> str:
    return f"darkroom:events:{job_id}"


def _event(entry: str, raw: Mapping[Any, Any]) -> JobEvent:
    fields = {as_text(name): as_text(value) for name, value in raw.items()}
    return JobEvent(entry, EventKind(fields.pop(_KIND)), fields)
