"""Which jobs there are, newest first, for each owner: what a list of jobs is read from.

Two sorted sets for each owner hold the ids: one by the id itself, which begins with the time of its
making, and one by when the job's record will be gone. Each move of a job that changes the latter is
written in the move's own transaction, and takes out what is gone by then. Both sets expire with
their last job.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.job import Job
from rq.utils import as_text

from contract.events import OPEN_TTL_S

MOST_TRIMMED = 100  # ids at each move

FUNCTIONS = f"""
local function list_job(by_id, by_end, id, ttl_ms, is_listed)
    local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
    local gone = redis.call('ZRANGEBYSCORE', by_end, '-inf', now, 'LIMIT', 0, {MOST_TRIMMED})
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
end
"""

# A job without a record is none.
_NOTE = (
    FUNCTIONS
    + """
local ttl_ms = tonumber(ARGV[2])
list_job(KEYS[1], KEYS[2], ARGV[1], ttl_ms, ttl_ms > 0 and redis.call('EXISTS', KEYS[3]) == 1)
"""
)


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
        keys(owner)[0], min(highest, default="+"), lowest, start=0, num=count
    )
    return [as_text(job_id) for job_id in found]


def _first_id(time: datetime, later_ms: int = 0) -> str:
    """What stands before every id that is made from the millisecond of `time` on."""
    digits = f"{max(0, int(time.timestamp() * 1000) + later_ms):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _evaluate(pipeline: Pipeline, owner: str, job_id: str, ttl_ms: int) -> None:
    pipeline.eval(_NOTE, 3, *keys(owner), Job.key_for(job_id), job_id, ttl_ms)


def keys(owner: str) -> tuple[str, str]:
    """Of the jobs by their ids, and by when they are gone."""
    return f"darkroom:jobs:{owner}", f"darkroom:jobs-ending:{owner}"
