"""Which jobs there are, newest first, for each owner: what a list of jobs is read from.

Two sorted sets for each owner hold the ids: one by the id itself, which begins with the time of its
making, and one by when the job's record will be gone. Each move of a job that changes the latter is
written in the move's own transaction, and takes out what is gone by then. Both sets expire with
their last job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.job import Job
from rq.utils import as_text

from contract.events import OPEN_TTL_S

MOST_TRIMMED = 100  # ids at each move

# A job without a record is none: its acceptance was taken back in the same transaction.
_NOTE = f"""
local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
local by_id, by_end, job = unpack(KEYS)
local id, ttl_ms = ARGV[1], tonumber(ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', by_end, '-inf', now, 'LIMIT', 0, {MOST_TRIMMED})
local is_listed = ttl_ms > 0 and redis.call('EXISTS', job) == 1
if not is_listed then gone[#gone + 1] = id end
if #gone > 0 then
    redis.call('ZREM', by_id, unpack(gone))
    redis.call('ZREM', by_end, unpack(gone))
end
if is_listed then
    redis.call('ZADD', by_id, 0, id)
    redis.call('ZADD', by_end, now + ttl_ms, id)
end
local last = redis.call('ZREVRANGE', by_end, 0, 0, 'WITHSCORES')[2]
if last then
    local at = string.format('%.0f', last)
    redis.call('PEXPIREAT', by_id, at)
    redis.call('PEXPIREAT', by_end, at)
end
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Of time, in which listed jobs were made; None is no bound. Neither bound is within it."""

    after: datetime | None = None
    before: datetime | None = None


ALWAYS = Span()


def note(pipeline: Pipeline, owner: str, job_id: str, ttl_s: int = OPEN_TTL_S) -> None:
    """Lists the job for so long from now on, and one that has not ended as long as its history is
    kept; part of the transaction that moves it, after the job's record is written."""
    _evaluate(pipeline, owner, job_id, ttl_s * 1000)


def forget(pipeline: Pipeline, owner: str, job_id: str) -> None:
    """Part of the transaction that deletes the job."""
    _evaluate(pipeline, owner, job_id, 0)


def listed(
    connection: Redis, owner: str, count: int, span: Span = ALWAYS, cursor: str | None = None
) -> list[str]:
    """At most `count` ids, newest first; those older than the one at `cursor`, where it is given.
    Some may be of jobs that are gone: a stock worker tells nobody of an end."""
    highest = [f"({cursor}"] if cursor is not None else []
    if span.before is not None:
        highest.append(f"({_first_id(span.before)}")
    lowest = f"({_first_id(span.after, 1)}" if span.after is not None else "-"
    found: Any = connection.zrevrangebylex(
        _by_id(owner), min(highest, default="+"), lowest, start=0, num=count
    )
    return [as_text(job_id) for job_id in found]


def _first_id(time: datetime, later_ms: int = 0) -> str:
    """What stands before every id that is made from the millisecond of `time` on."""
    digits = f"{max(0, int(time.timestamp() * 1000) + later_ms):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _evaluate(pipeline: Pipeline, owner: str, job_id: str, ttl_ms: int) -> None:
    keys: Sequence[str] = (_by_id(owner), _by_end(owner), Job.key_for(job_id))
    pipeline.eval(_NOTE, len(keys), *keys, job_id, ttl_ms)


def _by_id(owner: str) -> str:
    return f"darkroom:jobs:{owner}"


def _by_end(owner: str) -> str:
    return f"darkroom:jobs-ending:{owner}"
