"""Jobs whose callers were lost before they had the answer, for the case that they ask again.

A client that sends no idempotency key asks for the same once more; the first of its own jobs of
this kind that lies here is then the answer, to one who asks only.
"""

from typing import cast

from redis import Redis
from rq.utils import as_text

KEPT_S = 60


def leave(connection: Redis, owner: str, asked: str, job_id: str) -> None:
    """
    Args:
        owner: id of the caller's API key; empty where keys are off.
        asked: digest of the request, as `idempotency.digest_of` has it.
    """
    pipeline = connection.pipeline()
    pipeline.sadd(_key(owner, asked), job_id)
    pipeline.expire(_key(owner, asked), KEPT_S)
    pipeline.execute()


def take(connection: Redis, owner: str, asked: str) -> str | None:
    """A job that was left, which nobody else gets now; None where there is none."""
    job_id = cast("bytes | None", connection.spop(_key(owner, asked)))
    return as_text(job_id) if job_id is not None else None


def take_back(connection: Redis, owner: str, asked: str, job_id: str) -> bool:
    """Whether the job still lay there: nobody has asked for it again."""
    return connection.srem(_key(owner, asked), job_id) == 1


def _key(owner: str, asked: str) -> str:
    return f"darkroom:left:{owner}:{asked}"
