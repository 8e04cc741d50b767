"""What a service has to offer: its models, and the workers that live."""

import re
from collections.abc import Mapping

from darkroom.client.answers import Answer

_DEPTH = re.compile(r'^darkroom_queue_depth\{model="((?:[^"\\]|\\.)*)"\} (\S+)$', re.MULTILINE)


class SamplerLimits(Answer):
    max_steps: int
    refusal: str | None  # why the model cannot use it


class Model(Answer):
    id: str
    width: int
    height: int
    min_side: int
    max_side: int
    side_multiple: int
    token_limit: int
    prediction_type: str
    fingerprint: str
    samplers: Mapping[str, SamplerLimits]
    seen_at: float  # seconds since the epoch
    live_workers: int
    default: bool


class Models(Answer):
    models: tuple[Model, ...]


class Worker(Answer):
    name: str
    model: str
    host: str
    pid: int
    device: str
    dtype: str
    rows: int
    metrics_port: int
    started_at: float  # seconds since the epoch
    row_steps_per_s: float | None


class Readiness(Answer):
    status: str
    workers: tuple[Worker, ...]


def waiting_jobs(metrics: str) -> Mapping[str, int]:
    """How many jobs wait for each model, from what the service shows to Prometheus."""
    return {
        re.sub(r"\\(.)", r"\1", model): int(float(depth))
        for model, depth in _DEPTH.findall(metrics)
    }
