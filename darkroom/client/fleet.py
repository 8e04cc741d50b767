"""What a service has to offer: its models, and the workers that live."""

from collections.abc import Mapping

from darkroom.client.answers import Answer


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
    queued: int  # jobs that wait for it, whoever asked for them
    default: bool


class Models(Answer):
    models: tuple[Model, ...]


class Pace(Answer):
    """How a worker gets on, lately, and what it holds; rows are of the model's native size."""

    step_s: float  # of a step, whatever its rows
    row_s: float  # of a step, for each of its rows
    aside_s: float  # from a picture's last step to the end of its job
    done_per_s: float  # rows by steps in a second of the last minutes, idle ones too
    rows: float  # of all pictures that it holds
    row_steps: float  # that are left of these
    sizes: tuple[str, ...]  # of these


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
    version: str = ""  # its release; empty where it did not say
    contract: int = 1  # it takes jobs up to this version of the contract
    max_side: int | None = None  # of its pictures, in pixels; where it did not say
    row_steps_per_s: float | None
    pace: Pace | None = None  # where it did not say


class Readiness(Answer):
    status: str
    workers: tuple[Worker, ...]
