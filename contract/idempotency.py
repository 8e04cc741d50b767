"""Idempotency keys: a request that is sent again gets the job that it made the first time."""

import hashlib
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from contract.errors import IdempotencyKeyReused
from contract.request import GenerateRequest

KEPT_S = 24 * 3600
HEADER = "Idempotency-Key"


class _Made(BaseModel):
    """What stands under a key."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    asked: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A key, and what is asked under it. Each caller has keys of its own."""

    key: str
    asked: str  # SHA-256 of the request
    owner: str = ""  # id of the caller's API key

    @classmethod
    def of(cls, key: str, request: GenerateRequest, owner: str = "") -> "Ticket":
        return cls(key, digest_of(request), owner)

    @property
    def redis_key(self) -> str:
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        return f"darkroom:idempotency:{self.owner}:{digest}"

    def entry(self, job_id: str) -> str:
        """What stands under the key once it has made this job."""
        return _Made(job_id=job_id, asked=self.asked).model_dump_json()


def digest_of(request: GenerateRequest) -> str:
    """Of the request as the caller meant it: what is left out and what is said to be the default
    are the same, and a seed that is yet to be drawn is no part of it."""
    asked = request.model_dump_json(exclude_defaults=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def find(connection: Redis, ticket: Ticket) -> str | None:
    """The id of the job that the key has made; None where it has made none.

    Raises:
        IdempotencyKeyReused: something else was asked under it.
    """
    value = cast("bytes | None", connection.get(ticket.redis_key))
    if value is None:
        return None
    made = _Made.model_validate_json(value)
    if made.asked != ticket.asked:
        raise IdempotencyKeyReused(
            "Another request was sent with this key; it takes a new one.", field=HEADER
        )
    return made.job_id
