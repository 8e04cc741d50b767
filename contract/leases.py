"""Who holds which job right now: leases in Redis' own time, so that no host's clock matters.

A lease is short, so that the jobs of a dead worker are found soon, and renewed by a thread of the
worker, since a step may take longer. RQ's own lease is the net below: it is long, because whoever
runs `rq info` sweeps what has outlived it, without a lock or a fence.
"""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.utils import as_text

EXECUTION_FIELD = "execution_id"
"""A field of ours in RQ's hash of a job: the one execution that may end it."""

LEASE_TTL_MS = 8_000
OUTAGE_MS = 5_000
"""So long without a beat of anybody is an outage: above what a beat takes over a slow network, and
below what a lease lasts."""
GUARD_MS = 3_000
"""After an outage of Redis all leases have run out at once, of the living too: nobody sweeps for
this long, while they are renewed."""
LOCK_MS = 2_000

BEAT_KEY = "darkroom:beat"
GUARD_KEY = "darkroom:guard"

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "

ROWS_FIELD = "rows"
"""A field of ours in RQ's hash of a job: rows of all its pictures, of the model's native size."""

_ALL = "all"

_GRANT = (
    _NOW
    + f"""
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
local rows = tonumber(redis.call('HGET', KEYS[3], '{ROWS_FIELD}'))
if rows and redis.call('HSETNX', KEYS[2], ARGV[2], rows) == 1 then
    redis.call('HINCRBYFLOAT', KEYS[2], '{_ALL}', rows)
end
"""
)

_DROP = f"""
redis.call('ZREM', KEYS[1], ARGV[1])
local rows = redis.call('HGET', KEYS[2], ARGV[1])
if not rows then return end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[2], '{_ALL}', -rows)
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
"""

FUNCTIONS = f"""
local function held_of(queue)
    local key = 'darkroom:held:' .. queue
    local jobs = redis.call('ZCARD', 'darkroom:leases:' .. queue)
    local known = redis.call('HLEN', key) - 1
    if known < 1 then return jobs end
    return jobs, redis.call('HGET', key, '{_ALL}') * jobs / known
end
"""

# A beat that finds the last one old, whoever's it was, has an outage behind it.
_RENEW = (
    _NOW
    + """
local last = redis.call('GET', KEYS[2])
redis.call('SET', KEYS[2], string.format('%.0f', now), 'PX', 60000)
if not last or now - last > tonumber(ARGV[2]) then
    redis.call('SET', KEYS[3], 1, 'PX', ARGV[3])
end
local lost = {}
for i = 4, #ARGV do
    if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
        redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
    else
        lost[#lost + 1] = ARGV[i]
    end
end
return lost
"""
)

_EXPIRED = (
    _NOW
    + """
if redis.call('EXISTS', KEYS[2]) == 1 or not redis.call('SET', KEYS[3], 1, 'NX', 'PX', ARGV[1]) then
    return {}
end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
"""
)


def grant(pipeline: Pipeline, queue: Queue, execution: Execution) -> None:
    """Part of the transaction that claims the job."""
    keys = _key(queue), _held_key(queue), Job.key_for(execution.job_id)
    pipeline.eval(_GRANT, len(keys), *keys, LEASE_TTL_MS, execution.composite_key)


def drop(pipeline: Pipeline, queue: Queue, execution: Execution) -> None:
    """Part of the transaction that ends the execution."""
    pipeline.eval(_DROP, 2, _key(queue), _held_key(queue), execution.composite_key)


def renew(queue: Queue, executions: Sequence[Execution]) -> list[str]:
    """One beat: keeps the leases of these executions.

    Returns:
        The ids of those executions whose lease is no longer there to be kept.
    """
    keys = (_key(queue), BEAT_KEY, GUARD_KEY)
    members = [execution.composite_key for execution in executions]
    lost = _evaluate(queue.connection, _RENEW, keys, LEASE_TTL_MS, OUTAGE_MS, GUARD_MS, *members)
    return [execution.id for execution in lost]


def expired(queue: Queue) -> list[Execution]:
    """Those whose lease has run out; none while another worker sweeps, or after an outage."""
    keys = (_key(queue), GUARD_KEY, f"darkroom:sweeping:{queue.name}")
    return _evaluate(queue.connection, _EXPIRED, keys, LOCK_MS)


def is_guarded(queue: Queue) -> bool:
    """Whether an outage of Redis is just over."""
    return bool(queue.connection.exists(GUARD_KEY))


def _evaluate(connection: Redis, script: str, keys: Sequence[str], *values: Any) -> list[Execution]:
    """By its text, not its hash: a restart of Redis forgets scripts."""
    members: Any = connection.eval(script, len(keys), *keys, *values)
    return [Execution.from_composite_key(as_text(member), connection) for member in members]


def _held_key(queue: Queue) -> str:
    return f"darkroom:held:{queue.name}"


def _key(queue: Queue) -> str:
    return f"darkroom:leases:{queue.name}"
