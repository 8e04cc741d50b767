"""Which jobs have a picture, so that it is deleted with the last of them and not before.

Equal pictures are one picture in a store. A worker notes that its job will have it before it puts
it there; whoever deletes the last job that has it bars it until it is gone from the store, and a
worker that comes meanwhile waits and puts it there anew.
"""

import time
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.client import Pipeline

BARRED_S = 20
"""How long a picture may take to be deleted."""

PAUSE_S = 0.02

_KEEP = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')
redis.call('EXPIRE', KEYS[1], ARGV[2], 'GT')
return 1
"""
_HOLD = "if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end" + _KEEP
_RELEASE = """
redis.call('SREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""


def note(pipeline: Pipeline, digests: Sequence[str], job_id: str, ttl_s: int) -> None:
    """Part of the transaction that ends the job with these pictures: it has them for so long."""
    for digest in digests:
        pipeline.eval(_KEEP, 1, _holders_key(digest), job_id, ttl_s)


def hold(connection: Redis, digests: Sequence[str], job_id: str, ttl_s: int) -> bool:
    """Notes, in one round trip, that a job is about to have these pictures. False where one of them
    is being deleted: ask again soon."""
    return all(_evaluate(connection, _HOLD, digests, job_id, ttl_s))


def hold_soon(connection: Redis, digest: str, job_id: str, ttl_s: int) -> None:
    """The same for one picture, waiting while it is being deleted. Safe to repeat."""
    while not hold(connection, [digest], job_id, ttl_s):
        time.sleep(PAUSE_S)


def drop(connection: Redis, digests: Sequence[str], job_id: str) -> None:
    """The job comes to nothing; its pictures are another's."""
    pipeline = connection.pipeline(transaction=False)
    for digest in digests:
        pipeline.srem(_holders_key(digest), job_id)
    pipeline.execute()


def release(connection: Redis, digests: Sequence[str], job_id: str, token: str) -> list[str]:
    """Notes that the job has these pictures no more. What no other job has is barred and returned:
    the caller deletes it and then calls `unbar` with the same token, which is its own."""
    released = _evaluate(connection, _RELEASE, digests, job_id, token, BARRED_S)
    return [digest for digest, is_last in zip(digests, released, strict=True) if is_last]


def unbar(connection: Redis, digests: Sequence[str], token: str) -> None:
    """They are gone from the store, as far as the holder of this token is concerned."""
    pipeline = connection.pipeline(transaction=False)
    for digest in digests:
        pipeline.srem(_barred_key(digest), token)
    pipeline.execute()


def _evaluate(connection: Redis, script: str, digests: Sequence[str], *values: Any) -> list[Any]:
    pipeline = connection.pipeline(transaction=False)
    for digest in digests:
        pipeline.eval(script, 2, _holders_key(digest), _barred_key(digest), *values)
    return pipeline.execute()


def _holders_key(digest: str) -> str:
    return f"darkroom:holders:{digest}"


def _barred_key(digest: str) -> str:
    return f"darkroom:barred:{digest}"
