"""A job as the outside sees it, read from RQ's records and a few fields of ours."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from redis import Redis
from redis.client import Pipeline
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

from contract import backlog, queue
from contract.backlog import Standing
from contract.errors import DarkroomError, MalformedJob, NewerContract
from contract.progress import progress_key, read_progress
from contract.request import GenerateRequest, JobRequest
from contract.subscription import Subscription
from contract.timeline import Timeline
from contract.transactions import owner_of

_ASKED = 3
ERROR_FIELD = "error"
"""A field of ours in RQ's hash of a job: how it failed, as JSON."""

TAGS_FIELD = "tags"
"""Where the caller's notes stand in the `meta` of RQ's job."""

WEBHOOK_FIELD = "webhook"
"""Where a subscription stands in the `meta` of RQ's job."""

logger = logging.getLogger(__name__)


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


STATES = {
    JobStatus.STARTED: JobState.RUNNING,
    JobStatus.FINISHED: JobState.SUCCEEDED,
    JobStatus.FAILED: JobState.FAILED,
    JobStatus.STOPPED: JobState.CANCELLED,
    JobStatus.CANCELED: JobState.CANCELLED,
}
"""RQ's states in our words; all others are forms of waiting."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class PictureRecord(_Record):
    """A finished picture of a job."""

    sha256: str
    bytes: int
    seed: int


class Timings(_Record):
    """Where the time of a job went, in seconds: the phases of its `Timeline` until its last picture
    was stored, on the way of that picture. They add up to the total."""

    accept_s: float = 0.0
    queue_s: float
    admission_s: Annotated[
        float,
        Field(validation_alias=AliasChoices("admission_s", "join_s")),  # as it was called once
    ]
    text_encode_s: float = 0.0
    denoise_s: float
    decode_s: float
    encode_s: float
    store_s: float = 0.0
    total_s: float

    @classmethod
    def of(cls, timeline: Timeline) -> Self:
        phases = {f"{span.phase}_s": span.seconds for span in timeline.spans}
        return cls(**phases, total_s=timeline.total_s)


class JobResult(_Record):
    """What a worker returns for a job; RQ keeps it as the job's return value."""

    images: list[PictureRecord]
    warnings: list[str]
    timings: Timings
    model_fingerprint: Annotated[
        str, Field(description="SHA-256 of the model's files; empty where the worker did not say.")
    ] = ""
    cached: Annotated[
        bool, Field(description="Whether an equal job had made the pictures already.")
    ] = False
    device_s: float = 0.0  # its share of the batches that it rode in, where it was finished

    @property
    def digests(self) -> list[str]:
        """Of the pictures, each once."""
        return list(dict.fromkeys(image.sha256 for image in self.images))


class JobFault(_Record):
    """How a job failed."""

    code: str
    title: str
    detail: str

    @classmethod
    def of(cls, error: DarkroomError) -> Self:
        return cls(code=error.code, title=error.title, detail=str(error))


class JobRecord(_Record):
    """Everything that is known of a job."""

    id: str
    state: JobState
    request: JobRequest
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: float | None  # 0 to 1 while it runs
    standing: Standing | None  # in its queue; None unless queued
    result: JobResult | None
    error: JobFault | None
    worker: str | None
    left_s: float | None = None  # seconds until it is done, as its worker estimates
    owner: str = ""  # id of the key that made it; empty where none did
    tags: Mapping[str, str] = {}
    subscription: Subscription | None = None  # who is told of it by a webhook

    @property
    def queue_position(self) -> int | None:
        """1 is next; None unless queued."""
        return self.standing.position if self.standing is not None else None

    def asked(self, seed: int | None) -> GenerateRequest:
        """The request that would lead to this job again, but for its seed."""
        told = self.subscription
        aside: dict[str, Any] = {"tags": dict(self.tags)}
        if told is not None:
            aside |= {"webhook": told.url, "webhook_events": told.events}
        return self.request.asked(seed).model_copy(update=aside)


def read_job(connection: Redis, job_id: str, owner: str | None = None) -> JobRecord | None:
    """The record of a job, or None where there is none. One round trip.

    Args:
        owner: who looks, by the id of its key: another's job is as good as none. None sees all.

    Raises:
        NewerContract: there is one that only a newer release understands.
        MalformedJob: there is one, but not of our making.
    """
    pipeline = connection.pipeline(transaction=False)
    ask_for_job(pipeline, job_id)
    return read_answers(connection, job_id, pipeline.execute(), owner)


def ask_for_job(pipeline: Pipeline, job_id: str) -> None:
    """Queues the commands whose answers `read_answers` reads."""
    _ask(pipeline, job_id)
    backlog.ask_standing(pipeline, job_id)


def read_answers(
    connection: Redis, job_id: str, answers: Sequence[Any], owner: str | None = None
) -> JobRecord | None:
    """As `read_job`; asks nothing more."""
    raw, results, progress, place = answers
    if b"data" not in raw or owner not in (None, owner_of(raw)):
        return None
    record = _record(connection, job_id, raw, results, progress)
    standing = backlog.read_standing(place) if record.state is JobState.QUEUED else None
    return record.model_copy(update={"standing": standing})


def read_jobs(connection: Redis, job_ids: Sequence[str]) -> list[JobRecord]:
    """The records of these jobs in one round trip, without their places in the queue. Those that
    are gone, or cannot be read, are left out."""
    pipeline = connection.pipeline(transaction=False)
    for job_id in job_ids:
        _ask(pipeline, job_id)
    answers = pipeline.execute()
    found = []
    for n, job_id in enumerate(job_ids):
        raw, results, progress = answers[_ASKED * n : _ASKED * (n + 1)]
        with suppress(MalformedJob, NewerContract):
            if b"data" in raw:
                found.append(_record(connection, job_id, raw, results, progress))
    return found


def _ask(pipeline: Pipeline, job_id: str) -> None:
    """Queues the _ASKED commands whose answers make a record."""
    pipeline.hgetall(Job.key_for(job_id))
    pipeline.xrevrange(Result.get_key(job_id), count=1)
    pipeline.hgetall(progress_key(job_id))


def _record(
    connection: Redis,
    job_id: str,
    raw: Mapping[Any, Any],
    results: list[Any],
    told: Mapping[bytes, bytes],
) -> JobRecord:
    job = restore_job(connection, job_id, raw)
    state = STATES.get(job.get_status(refresh=False), JobState.QUEUED)
    progress = read_progress(told) if state is JobState.RUNNING else None
    assert job.created_at is not None
    return JobRecord(
        id=job_id,
        state=state,
        request=queue.job_request(job.kwargs),
        created_at=job.created_at,
        started_at=job.started_at if state is not JobState.QUEUED else None,
        ended_at=job.ended_at if state.is_final else None,
        progress=progress.share if progress is not None else None,
        left_s=progress.left_s if progress is not None else None,
        standing=None,
        result=_result(job_id, connection, results) if state is JobState.SUCCEEDED else None,
        error=_fault(raw) if state is JobState.FAILED else None,
        worker=job.worker_name or None if state is not JobState.QUEUED else None,
        owner=owner_of(raw),
        tags=tags_of(job),
        subscription=subscription_of(job),
    )


def tags_of(job: Job) -> dict[str, str]:
    """The caller's notes; none where there are none that can be read."""
    tags = job.meta.get(TAGS_FIELD)
    if not isinstance(tags, dict):
        return {}
    return {str(name): str(text) for name, text in tags.items()}


def subscription_of(job: Job) -> Subscription | None:
    """Who is told of the job; None where there is none that can be read: all else holds without."""
    kept = job.meta.get(WEBHOOK_FIELD)
    if kept is None:
        return None
    try:
        return Subscription.model_validate(kept)
    except ValidationError:
        logger.error("job %s: its webhook cannot be read", job.id)
        return None


def restore_job(connection: Redis, job_id: str, raw: Mapping[Any, Any]) -> Job:
    """RQ's job from its hash.

    Raises:
        MalformedJob: RQ cannot read the hash.
    """
    try:
        job = Job(job_id, connection=connection, serializer=JSONSerializer)
        job.restore(raw)
        job._deserialize_data()  # lazy otherwise, and then outside of this net
    except Exception as error:
        raise MalformedJob(f"The record of job {job_id} cannot be read.") from error
    return job


def ended_among(connection: Redis, job_ids: Sequence[str]) -> list[str]:
    """Those of the jobs that have ended, or are gone; one round trip."""
    pipeline = connection.pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.hget(Job.key_for(job_id), "status")
    final = {status.encode() for status, state in STATES.items() if state.is_final}
    return [
        job_id
        for job_id, status in zip(job_ids, pipeline.execute(), strict=True)
        if status is None or status in final
    ]


def _result(job_id: str, connection: Redis, results: list[Any]) -> JobResult | None:
    if not results:
        return None
    entry, payload = results[0]
    result = Result.restore(job_id, entry.decode(), payload, connection, JSONSerializer)
    return JobResult.model_validate(result.return_value)


def _fault(raw: Mapping[Any, Any]) -> JobFault:
    kept = raw.get(ERROR_FIELD.encode())
    if kept is not None:
        return JobFault.model_validate(json.loads(kept))
    return JobFault(
        code=DarkroomError.code,
        title=DarkroomError.title,
        detail="The job failed outside of the engine; the worker's log has more.",
    )
