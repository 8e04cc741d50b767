"""From a valid request to a place in the queue."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from app.settings import AppSettings
from contract import identity, queue
from contract.errors import NoModel, QueueFull, UnknownModel
from contract.job import JobRecord, JobState
from contract.request import GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.workers import ModelCard, known_models, live_workers

LOOK_S = 1.0
FULL_RETRY_S = 10
NO_MODEL_RETRY_S = 5


@dataclass(frozen=True, slots=True)
class Offer:
    """The models that may be asked for."""

    models: Mapping[str, ModelCard]
    workers: Mapping[str, int]  # live workers by model; every model of `models` is here
    preferred: str | None  # the setting

    @property
    def default(self) -> str | None:
        """The model of a request that names none; None where it has to name one."""
        if self.preferred is not None:
            return self.preferred if self.preferred in self.models else None
        live = [model for model, count in self.workers.items() if count]
        for candidates in (live, list(self.models)):
            if len(candidates) == 1:
                return candidates[0]
        return None

    def choose(self, asked: str | None) -> ModelCard:
        """
        Raises:
            NoModel: there is none yet, or not the one that the settings name.
            UnknownModel: no such model, or several to choose from and none named.
        """
        known = list(self.models)
        if not known:
            raise NoModel(
                "No worker has announced a model yet.", retry_after_s=NO_MODEL_RETRY_S
            )
        if asked is None and self.preferred is not None and self.preferred not in self.models:
            raise NoModel(
                f"No worker has announced the default model {self.preferred} yet; "
                f"there is {', '.join(known)}.",
                retry_after_s=NO_MODEL_RETRY_S,
            )
        name = self.default if asked is None else asked
        if name is None:
            text = f"There are several models; name one of {', '.join(known)}."
            raise UnknownModel(text, field="model", allowed=known)
        if name not in self.models:
            text = f"There is no such model; valid models are {', '.join(known)}."
            raise UnknownModel(text, field="model", allowed=known)
        return self.models[name]


class Admission:
    def __init__(self, connection: Redis, settings: AppSettings):
        self._connection = connection
        self._settings = settings
        self._offer: Offer | None = None
        self._looked_at = 0.0

    def admit(self, job_id: str, asked: GenerateRequest) -> JobRecord:
        """Puts the job on its model's queue and returns it as it stands then.

        Raises:
            UnknownModel, UnsupportedSampler, UnsupportedSteps, UnsupportedSize: see there.
            NoModel: no worker has announced one yet.
            QueueFull: as many jobs wait as may.
        """
        request = resolve(asked, self._choose(asked.model))
        waiting = queue.model_queue(self._connection, request.model)
        most = self._settings.max_queue
        if queue.depth(waiting) >= most:
            text = f"{most} jobs wait for {request.model} already; no more are taken for now."
            raise QueueFull(text, retry_after_s=FULL_RETRY_S)
        place = queue.enqueue(waiting, job_id, request, self._settings.result_ttl_s)
        return _accepted(job_id, request, place)

    def look(self) -> Offer:
        """What is on offer now."""
        models = known_models(self._connection)
        counts = dict.fromkeys(models, 0)
        for worker in live_workers(self._connection):
            if worker.model in counts:
                counts[worker.model] += 1
        offer = Offer(models, counts, self._settings.default_model)
        self._offer, self._looked_at = offer, time.monotonic()
        return offer

    def _choose(self, asked: str | None) -> ModelCard:
        """By what was on offer a moment ago, which spares the round trips; a refusal is never
        given on old news."""
        if self._offer is not None and time.monotonic() - self._looked_at < LOOK_S:
            try:
                return self._offer.choose(asked)
            except (NoModel, UnknownModel):
                pass
        return self.look().choose(asked)


def _accepted(job_id: str, request: JobRequest, place: int) -> JobRecord:
    """Known without another round trip."""
    created_at = identity.created_at(job_id)
    assert created_at is not None
    return JobRecord(
        id=job_id,
        state=JobState.QUEUED,
        request=request,
        created_at=datetime.fromtimestamp(created_at, UTC),
        started_at=None,
        ended_at=None,
        progress=None,
        queue_position=place,
        result=None,
        error=None,
        worker=None,
    )
