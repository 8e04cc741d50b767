"""Which models and workers there are, as they announced themselves."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import anyio
from redis import Redis

from app.backend import Backend
from contract.backlog import Standing
from contract.forecast import Fleet, Work
from contract.request import JobRequest
from contract.workers import ModelCard, WorkerCard, known_models, largest_side, live_workers

MAX_AGE_S = 1.0


@dataclass(frozen=True)
class Census:
    models: Mapping[str, ModelCard]  # by id, with or without a live worker
    workers: Sequence[WorkerCard]  # live ones, by name

    def live_count(self) -> Counter[str]:
        """How many live workers hold each model."""
        return self._live

    @cached_property
    def _fleets(self) -> dict[str, Fleet | None]:
        by_model: dict[str, list[WorkerCard]] = defaultdict(list)
        for worker in self.workers:
            by_model[worker.model].append(worker)
        return {model: Fleet.of(cards) for model, cards in by_model.items()}

    def seconds(self, request: JobRequest, standing: Standing) -> float | None:
        """Until a job is done that waits at this standing; None where nobody knows."""
        fleet = self._fleets.get(request.model)
        if fleet is not None and request.model in self.models:
            work = Work.of(request, self.models[request.model].native)
            return fleet.seconds(work, standing)
        speed = self.row_steps_per_s(request.model)
        return standing.work / speed if standing.work is not None and speed else None

    @cached_property
    def _speeds(self) -> dict[str, float]:
        told: dict[str, list[float]] = defaultdict(list)
        for worker in self.workers:
            if worker.full_row_steps_per_s:
                told[worker.model].append(worker.full_row_steps_per_s)
        return {model: sum(speeds) / len(speeds) for model, speeds in told.items()}

    @cached_property
    def _live(self) -> Counter[str]:
        return Counter(worker.model for worker in self.workers)

    def row_steps_per_s(self, model: str) -> float | None:
        """The speed of the model's live workers together with full batches, where one that has not
        told its own counts as the average of the others; None where none has."""
        average = self.row_steps_per_s_each(model)
        return average * self._live[model] if average is not None else None

    def row_steps_per_s_each(self, model: str) -> float | None:
        """The average speed of those of its live workers that have told theirs."""
        return self._speeds.get(model)

    def default_model(self, preferred: str | None) -> ModelCard | None:
        """The model of a request that names none: the preferred one, else the only one, else the
        only one with a live worker; None where that leaves a choice."""
        if preferred is not None:
            return self.models.get(preferred)
        if len(self.models) == 1:
            return next(iter(self.models.values()))
        live = self.live_count().keys() & self.models.keys()
        return self.models[live.pop()] if len(live) == 1 else None


def take_census(connection: Redis) -> Census:
    """Where workers differ in memory, a model offers what the largest of them draws."""
    workers = live_workers(connection)
    models = {
        model.id: model.model_copy(update={"max_side": largest_side(model, workers)})
        for model in known_models(connection).values()
    }
    return Census(models, workers)


class RecentCensus:
    """A census of at most MAX_AGE_S ago, so that a request costs no round trip for it."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._lock = anyio.Lock()
        self._census = Census({}, ())
        self._taken_at = float("-inf")

    @property
    def _is_old(self) -> bool:
        # A service without models is about to get one: its first user should not wait for it.
        return not self._census.models or time.monotonic() - self._taken_at > MAX_AGE_S

    async def get(self) -> Census:
        if self._is_old:
            async with self._lock:
                if self._is_old:  # still: nobody else has just taken one
                    self._census = await self._backend.call(take_census)
                    self._taken_at = time.monotonic()
        return self._census
