"""API keys: who may ask, for how much, and how a key is kept.

Redis holds the SHA-256 of each key and never the key itself. A plain digest is enough for secrets
of 256 random bits, which nobody guesses; a slow one is for passwords.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from redis import Redis
from redis.client import Pipeline

from contract.errors import BadKey
from contract.request import MOST_STEPS, Priority
from contract.transactions import transact

KEYS_KEY = "darkroom:keys"
PREFIX = "dk"
MOST_WEIGHT = 100

_NOBODY = hashlib.sha256(b"").hexdigest()


class KeyLimits(BaseModel):
    """What a key may ask for; None is no limit."""

    model_config = ConfigDict(frozen=True)

    per_minute: Annotated[
        int | None, Field(ge=1, description="Jobs accepted in a minute before 429.")
    ] = None
    queued: Annotated[
        int | None, Field(ge=1, description="Jobs that may wait at a time before 429.")
    ] = None
    max_side: Annotated[
        int | None, Field(ge=8, description="Longest side of a picture, in pixels.")
    ] = None
    max_steps: Annotated[
        int | None, Field(ge=1, le=MOST_STEPS, description="Most denoising steps.")
    ] = None
    weight: Annotated[
        int, Field(ge=1, le=MOST_WEIGHT, description="Share of the turns, beside other keys'.")
    ] = 1
    priority: Annotated[Priority, Field(description="Highest priority.")] = "normal"


NO_LIMITS = KeyLimits(priority="high")


class ApiKey(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str  # stands in the key and with its jobs
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    digest: str  # SHA-256 of the key
    created_at: float  # seconds since the epoch
    limits: KeyLimits

    def is_opened_by(self, text: str) -> bool:
        """Takes as long for any text."""
        return hmac.compare_digest(_digest(text), self.digest)


@dataclass(frozen=True, slots=True)
class NewKey:
    key: ApiKey
    text: str  # the key itself: shown once, kept nowhere


def add_key(connection: Redis, name: str, limits: KeyLimits) -> NewKey:
    """
    Raises:
        BadKey: there is one of that name.
    """
    key_id = secrets.token_hex(6)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    made = ApiKey(id=key_id, name=name, digest=_digest(text), created_at=time.time(), limits=limits)
    transact(connection, KEYS_KEY, partial(_add, made))
    return NewKey(made, text)


def _add(made: ApiKey, pipeline: Pipeline) -> None:
    if any(key.name == made.name for key in known_keys(pipeline).values()):
        raise BadKey(f"There is a key named {made.name} already.")
    pipeline.multi()
    pipeline.hset(KEYS_KEY, made.id, made.model_dump_json())


def revoke_key(connection: Redis, named: str) -> ApiKey:
    """Takes a key away, by its id or its name. Its jobs go on; nobody can ask for them any more.

    Raises:
        BadKey: there is none.
    """
    found = [key for key in known_keys(connection).values() if named in (key.id, key.name)]
    if not found:
        raise BadKey(f"There is no key {named}.")
    connection.hdel(KEYS_KEY, found[0].id)
    return found[0]


def known_keys(connection: Redis) -> dict[str, ApiKey]:
    """All keys, by id, oldest first."""
    raw = connection.hgetall(KEYS_KEY)
    keys = [ApiKey.model_validate_json(value) for value in raw.values()]
    return {key.id: key for key in sorted(keys, key=lambda key: key.created_at)}


def name_of(connection: Redis, key_id: str) -> str | None:
    """The name of a key; None where there is none of that id."""
    raw = connection.hget(KEYS_KEY, key_id)
    return ApiKey.model_validate_json(raw).name if raw is not None else None


def find_key(keys: Mapping[str, ApiKey], text: str) -> ApiKey | None:
    """The key that this text is; None where it is none."""
    key_id = text.split("_", 2)[1] if text.count("_") >= 2 else ""
    key = keys.get(key_id)
    if key is None:
        hmac.compare_digest(_digest(text), _NOBODY)  # an unknown id takes as long as a wrong secret
        return None
    return key if key.is_opened_by(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
