"""The finished jobs by what was asked: an equal request needs no device to be answered."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis
from redis.client import Pipeline

from contract.job import JobResult
from contract.request import PICTURE_FIELDS, JobRequest

ANYBODY = "*"
"""In place of an owner: what was finished for whomever."""


class Finished(BaseModel):
    model_config = ConfigDict(frozen=True)

    job_id: str
    result: JobResult


def note(
    pipeline: Pipeline, owner: str, job_id: str, request: JobRequest, result: JobResult, ttl_s: int
) -> None:
    """Part of the transaction that ends the job; holds as long as its result."""
    content = Finished(job_id=job_id, result=result).model_dump_json()
    for key in _keys(owner, request, result.model_fingerprint):
        pipeline.set(key, content, ex=ttl_s)


def key_of(owner: str, request: JobRequest, model_fingerprint: str) -> str:
    """Where the last job of that owner stands that made these very pictures with this very model;
    empty where the model does not say which it is."""
    return _key(owner, request, model_fingerprint) if model_fingerprint else ""


def find(
    connection: Redis, owner: str, request: JobRequest, model_fingerprint: str
) -> Finished | None:
    """That job."""
    key = key_of(owner, request, model_fingerprint)
    return read(cast("bytes | None", connection.get(key))) if key else None


def read(content: str | bytes | None) -> Finished | None:
    """What another version has written may be none."""
    with suppress(ValidationError):
        return Finished.model_validate_json(content) if content is not None else None
    return None


def forget(
    connection: Redis, owner: str, job_id: str, request: JobRequest, model_fingerprint: str
) -> None:
    """Nothing is answered from that job any more."""
    for key in _keys(owner, request, model_fingerprint):
        found = read(cast("bytes | None", connection.get(key)))
        if found is not None and found.job_id == job_id:
            connection.delete(key)


def _keys(owner: str, request: JobRequest, model_fingerprint: str) -> Sequence[str]:
    """Of nobody's job there is one: without owners nobody is anybody else."""
    owners = (owner, ANYBODY) if owner else (owner,)
    return [_key(each, request, model_fingerprint) for each in owners]


def _key(owner: str, request: JobRequest, model_fingerprint: str) -> str:
    asked = request.model_dump_json(include=set(PICTURE_FIELDS) - request.untold)
    digest = hashlib.sha256(f"{model_fingerprint}\n{asked}".encode()).hexdigest()
    return f"darkroom:finished:{digest}:{owner}"
