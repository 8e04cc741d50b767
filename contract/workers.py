"""What workers say of themselves, so that the HTTP side can judge a request without a model."""

import time
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from redis import Redis
from rq.utils import as_text

WORKER_TTL_S = 15
MODEL_TTL_S = 7 * 24 * 3600
WORKERS_KEY = "darkroom:workers"
MODELS_KEY = "darkroom:models"
SPEEDS_KEY = "darkroom:speeds"
"""The speed of the last worker of each model that had one."""


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
    row_steps_per_s: Annotated[
        float | None,
        Field(description="Rows of U-Net calls in a second, lately; null before the first step."),
    ] = None


def announce(connection: Redis, worker: WorkerCard, model: ModelCard) -> None:
    """Says that the worker lives; holds for WORKER_TTL_S."""
    pipeline = connection.pipeline(transaction=False)
    pipeline.set(_worker_key(_member(worker)), worker.model_dump_json(), ex=WORKER_TTL_S)
    pipeline.sadd(WORKERS_KEY, _member(worker))
    pipeline.expire(WORKERS_KEY, WORKER_TTL_S)  # where nobody is left who would remove the dead
    pipeline.hset(MODELS_KEY, model.id, model.model_dump_json())
    if worker.row_steps_per_s is not None:
        pipeline.hset(SPEEDS_KEY, model.id, str(worker.row_steps_per_s))
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
