"""What workers say of themselves, so that the HTTP side can judge a request without a model."""

import time
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from redis import Redis
from rq.utils import as_text

from contract.sizes import Size

WORKER_TTL_S = 15
MODEL_TTL_S = 7 * 24 * 3600
WORKERS_KEY = "darkroom:workers"
MODELS_KEY = "darkroom:models"
SPEEDS_KEY = "darkroom:speeds"
"""The speed of the last worker of each model that had one, with full batches."""


class SamplerCard(BaseModel):
    model_config = ConfigDict(frozen=True)

    max_steps: int
    refusal: Annotated[
        str | None, Field(description="Why the model cannot use the sampler; null where it can.")
    ] = None


class ModelCard(BaseModel):
    """What a model can do. It outlives the workers that announced it."""

    model_config = ConfigDict(frozen=True)

    id: str
    width: Annotated[int, Field(description="Native width in pixels.")]
    height: Annotated[int, Field(description="Native height in pixels.")]
    min_side: Annotated[int, Field(description="Pixels.")]
    max_side: Annotated[int, Field(description="Pixels.")]
    side_multiple: Annotated[int, Field(description="Width and height are multiples of this.")]
    token_limit: Annotated[int, Field(description="Tokens of a prompt that are read.")]
    prediction_type: str
    fingerprint: Annotated[
        str, Field(description="SHA-256 of the model's files; empty where its worker did not say.")
    ] = ""
    samplers: Mapping[str, SamplerCard]
    seen_at: Annotated[float, Field(description="Seconds since the epoch.")]

    @property
    def native(self) -> Size:
        """Of its own pictures."""
        return Size(self.width, self.height)


class Pace(BaseModel):
    """How a worker gets on, lately, and what it holds. Rows are of the model's native size."""

    model_config = ConfigDict(frozen=True)

    step_s: Annotated[float, Field(description="Seconds of a step, whatever its rows.")]
    row_s: Annotated[float, Field(description="Seconds of a step for each of its rows.")]
    aside_s: Annotated[
        float, Field(description="Seconds from a picture's last step to the end of its job.")
    ]
    done_per_s: Annotated[
        float, Field(description="Rows by steps in a second of the last minutes, idle ones too.")
    ] = 0.0
    rows: Annotated[float, Field(description="Rows of all pictures that it holds.")] = 0.0
    row_steps: Annotated[float, Field(description="What is left of these: rows by steps.")] = 0.0
    sizes: Annotated[
        tuple[str, ...], Field(description="Of these pictures, which take turns in its steps.")
    ] = ()

    def round_s(self, rows: float, sizes: float | None = None) -> float:
        """Until each picture has had a step, of so many rows together; of as many sizes as it holds
        now unless told."""
        if sizes is None:
            sizes = max(1, len(self.sizes))
        return sizes * self.step_s + rows * self.row_s


class WorkerCard(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    model: str
    host: str
    pid: int
    device: str
    dtype: str
    rows: Annotated[int, Field(description="Row budget at the model's native size.")]
    metrics_port: int
    started_at: Annotated[float, Field(description="Seconds since the epoch.")]
    version: Annotated[
        str, Field(description="The release that it runs; empty where it did not say.")
    ] = ""
    contract: Annotated[
        int, Field(description="It takes jobs up to this version of the contract.")
    ] = 1
    max_side: Annotated[
        int | None, Field(description="Of its pictures, in pixels; null where it did not say.")
    ] = None
    row_steps_per_s: Annotated[
        float | None,
        Field(description="Rows of U-Net calls in a second, lately; null before the first step."),
    ] = None
    pace: Annotated[
        Pace | None, Field(description="Null before the first step, and where it did not say.")
    ] = None

    @property
    def full_row_steps_per_s(self) -> float | None:
        """With full batches; as lately where that is all it told."""
        if self.pace is None:
            return self.row_steps_per_s
        return self.rows / max(self.pace.round_s(self.rows), 1e-9)


def announce(connection: Redis, worker: WorkerCard, model: ModelCard) -> None:
    """Says that the worker lives; holds for WORKER_TTL_S."""
    pipeline = connection.pipeline(transaction=False)
    pipeline.set(_worker_key(_member(worker)), worker.model_dump_json(), ex=WORKER_TTL_S)
    pipeline.sadd(WORKERS_KEY, _member(worker))
    pipeline.expire(WORKERS_KEY, WORKER_TTL_S)  # where nobody is left who would remove the dead
    pipeline.hset(MODELS_KEY, model.id, model.model_dump_json())
    if worker.full_row_steps_per_s is not None:
        pipeline.hset(SPEEDS_KEY, model.id, str(worker.full_row_steps_per_s))
        pipeline.expire(SPEEDS_KEY, MODEL_TTL_S)
    pipeline.execute()


def withdraw(connection: Redis, worker: WorkerCard) -> None:
    """Says that the worker leaves; its model stays known."""
    pipeline = connection.pipeline(transaction=False)
    pipeline.delete(_worker_key(_member(worker)))
    pipeline.srem(WORKERS_KEY, _member(worker))
    pipeline.execute()


def live_workers(connection: Redis) -> list[WorkerCard]:
    """The workers whose announcement holds, by name."""
    members = sorted(as_text(member) for member in connection.smembers(WORKERS_KEY))
    if not members:
        return []
    cards = connection.mget([_worker_key(member) for member in members])
    gone = [member for member, card in zip(members, cards, strict=True) if card is None]
    if gone:
        connection.srem(WORKERS_KEY, *gone)
    return [WorkerCard.model_validate_json(card) for card in cards if card is not None]


def largest_side(model: ModelCard, workers: Iterable[WorkerCard]) -> int:
    """Of the pictures that those of these workers draw that hold the model; of who announced it
    last where none does, or one does not say."""
    sides = (worker.max_side or model.max_side for worker in workers if worker.model == model.id)
    return max(sides, default=model.max_side)


def last_speeds(connection: Redis) -> dict[str, float]:
    """Row-steps in a second of a worker of each model, alive or not, where one ever had a speed."""
    raw = connection.hgetall(SPEEDS_KEY)
    return {as_text(model): float(speed) for model, speed in raw.items()}


def known_models(connection: Redis) -> dict[str, ModelCard]:
    """The models announced within MODEL_TTL_S, whether or not a worker holds them now, by id."""
    cards = [ModelCard.model_validate_json(card) for card in connection.hvals(MODELS_KEY)]
    oldest = time.time() - MODEL_TTL_S
    forgotten = [card.id for card in cards if card.seen_at <= oldest]
    if forgotten:
        connection.hdel(MODELS_KEY, *forgotten)
    return {card.id: card for card in sorted(cards, key=lambda c: c.id) if card.seen_at > oldest}


def _member(worker: WorkerCard) -> str:
    """Two workers of one name, say one and its successor, do not speak for each other."""
    return f"{worker.name}@{worker.host}:{worker.pid}"


def _worker_key(member: str) -> str:
    return f"darkroom:worker:{member}"
