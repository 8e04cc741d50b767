"""The deletion of a job that has ended: nothing of it is kept but that there was one.

It takes three steps, since no store of pictures takes part in a transaction: `begin`, the pictures,
`finish`. Broken off in between, it can be begun again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from rq.job import Job
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text

from contract import finished, holders, job_index
from contract.acceptance import note_left
from contract.checkpoints import drop_checkpoint
from contract.events import events_key
from contract.job import JobRecord
from contract.previews import previews_key
from contract.progress import progress_key
from contract.queue import model_queue
from contract.transactions import transact

REGISTRIES = (FinishedJobRegistry, FailedJobRegistry, CanceledJobRegistry)


@dataclass(frozen=True, slots=True)
class Deletion:
    """One that has begun."""

    record: JobRecord
    pictures: Sequence[str]  # digests of those that no other job has: they are to be deleted
    token: str


def begin(connection: Redis, record: JobRecord) -> Deletion:
    token, result = uuid4().hex, record.result
    if result is None:
        return Deletion(record, (), token)
    finished.forget(connection, record.owner, record.id, record.request, result.model_fingerprint)
    return Deletion(record, holders.release(connection, result.digests, record.id, token), token)


def finish(connection: Redis, deletion: Deletion, kept_s: int) -> None:
    """Deletes the record and all that hangs on it, once the pictures are gone.

    Args:
        kept_s: how long it is known that the job was deleted.
    """
    record = deletion.record
    holders.unbar(connection, deletion.pictures, deletion.token)
    queue = model_queue(connection, record.request.model)
    job = Job(record.id, connection=connection, serializer=JSONSerializer)
    job.origin = queue.name

    def move(pipeline: Pipeline) -> None:
        pipeline.multi()
        job.delete(pipeline=pipeline)
        for registry in REGISTRIES:  # RQ's own looks only where the status says
            pipeline.zrem(registry(queue=queue).key, record.id)
        pipeline.delete(*(key(record.id) for key in (events_key, progress_key, previews_key)))
        drop_checkpoint(pipeline, record.id)
        note_left(pipeline, queue.name, record.id, record.owner)  # a stock worker did not
        job_index.forget(pipeline, record.owner, record.id)
        pipeline.set(_deleted_key(record.id), record.owner, ex=kept_s)

    transact(connection, job.key, move)


def deleted_owner(connection: Redis, job_id: str) -> str | None:
    """Whose the job was that is deleted; None where none was."""
    owner = cast("bytes | None", connection.get(_deleted_key(job_id)))
    return as_text(owner) if owner is not None else None


def _deleted_key(job_id: str) -> str:
    return f"darkroom:deleted:{job_id}"
