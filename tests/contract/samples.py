"""Values that the tests of the queue's two sides share."""

import time
from typing import Any

from contract.job import JobResult, PictureRecord, Timings
from contract.request import JobRequest
from contract.samplers import SAMPLERS
from contract.timeline import Timeline
from contract.workers import ModelCard, SamplerCard, WorkerCard

MODEL = "tiny"
TTL_S = 600
FINGERPRINT = "0123456789abcdef" * 4


def job_request(**fields: Any) -> JobRequest:
    asked = {"prompt": "a red circle", "model": MODEL, "seed": 7, "width": 64, "height": 64}
    return JobRequest.model_validate(asked | fields)


def model_card(model: str = MODEL, **fields: Any) -> ModelCard:
    """A model of which lcm is limited and pndm refused."""
    samplers = {name: SamplerCard(max_steps=150) for name in SAMPLERS}
    samplers["lcm"] = SamplerCard(max_steps=50)
    samplers["pndm"] = SamplerCard(max_steps=150, refusal="diffusers cannot do it")
    told = {
        "id": model,
        "width": 64,
        "height": 64,
        "min_side": 32,
        "max_side": 128,
        "side_multiple": 16,
        "token_limit": 77,
        "prediction_type": "epsilon",
        "fingerprint": FINGERPRINT,
        "samplers": samplers,
        "seen_at": time.time(),
    }
    return ModelCard.model_validate(told | fields)


def worker_card(name: str = "gpu-1", model: str = MODEL, **fields: Any) -> WorkerCard:
    told = {
        "name": name,
        "model": model,
        "host": "node-7",
        "pid": 4772,
        "device": "cpu",
        "dtype": "float32",
        "rows": 16,
        "metrics_port": 9464,
        "started_at": time.time(),
    }
    return WorkerCard.model_validate(told | fields)


def job_result(*digests: str) -> JobResult:
    return JobResult(
        images=[PictureRecord(sha256=d, bytes=3, seed=7 + n) for n, d in enumerate(digests)],
        warnings=["The prompt is longer than what the model reads."],
        timings=Timings.of(Timeline((0.0, 0.0, 0.125, 0.25, 0.25, 1.25, 1.375, 1.5, 1.5))),
        model_fingerprint=FINGERPRINT,
    )
