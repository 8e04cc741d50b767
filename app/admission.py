"""Turns what was asked into a job with nothing left open, or says why it cannot be done."""

from datetime import UTC, datetime

from redis import Redis

from app.census import Census
from app.settings import AppSettings
from contract import identity, queue
from contract.errors import InvalidRequest, NoModel, QueueFull, UnknownModel
from contract.job import JobRecord, JobState
from contract.request import GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.workers import ModelCard


def admit(asked: GenerateRequest, census: Census, default_model: str | None) -> JobRequest:
    """The request with every default filled in, once it is clear that the model can do it.

    Raises:
        RequestError: names the field at fault, and what would do.
        NoModel: nobody has announced a model yet.
    """
    return resolve(asked, _model(asked.model, census, default_model))


def _model(asked: str | None, census: Census, preferred: str | None) -> ModelCard:
    if not census.models:
        raise NoModel("No worker has announced a model yet.", retry_after_s=5)
    known = list(census.models)
    if asked is not None:
        if asked not in census.models:
            raise UnknownModel(
                f"There is no such model; valid models are {', '.join(known)}.",
                field="model",
                allowed=known,
            )
        return census.models[asked]
    card = census.default_model(preferred)
    if card is None and preferred is not None:
        raise NoModel("No worker has announced the default model yet.", retry_after_s=5)
    if card is None:
        raise InvalidRequest(
            f"Several models are served, so name one of {', '.join(known)}.",
            field="model",
            allowed=known,
        )
    return card


def accept(connection: Redis, request: JobRequest, settings: AppSettings) -> JobRecord:
    """Puts a new job into its model's queue.

    Raises:
        QueueFull: as many jobs as are allowed wait already.
    """
    waiting = queue.model_queue(connection, request.model)
    if queue.depth(waiting) >= settings.max_queue:
        raise QueueFull(
            f"{settings.max_queue} jobs wait for model {request.model} already.", retry_after_s=10
        )
    job_id = identity.new_job_id()
    place = queue.enqueue(waiting, job_id, request, settings.result_ttl_s)
    return JobRecord(
        id=job_id,
        state=JobState.QUEUED,
        request=request,
        created_at=datetime.fromtimestamp(identity.created_at(job_id) or 0.0, UTC),
        started_at=None,
        ended_at=None,
        progress=None,
        queue_position=place,
        result=None,
        error=None,
        worker=None,
    )
