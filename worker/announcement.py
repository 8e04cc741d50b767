"""What this worker says of itself and of its model."""

import os
import socket
import time
from importlib.metadata import version

from contract.errors import BadSetting
from contract.request import MOST_STEPS
from contract.version import CONTRACT_VERSION
from contract.workers import ModelCard, SamplerCard, WorkerCard
from worker.engine.engine import Engine
from worker.engine.sampler import sampler_support
from worker.settings import WorkerSettings


def model_card(engine: Engine, settings: WorkerSettings) -> ModelCard:
    """What the model can do. Probes every sampler, which takes about half a second.

    Raises:
        BadSetting: nobody could ask for a picture of its own size.
    """
    model = engine.model
    width, height = model.native_size
    if settings.max_side is not None and settings.max_side < max(width, height):
        raise BadSetting(
            f"DARKROOM_MAX_SIDE is {settings.max_side}, and the model's own pictures have "
            f"{width}x{height} pixels; set it to {max(width, height)} or more."
        )
    multiple = max(8, model.vae_scale_factor)
    support = sampler_support(model.scheduler_config, MOST_STEPS)
    return ModelCard(
        id=model.name,
        width=width,
        height=height,
        min_side=max(multiple, min(width, height) // 4 // multiple * multiple),
        max_side=_max_side(engine, settings),
        side_multiple=multiple,
        token_limit=model.token_limit,
        prediction_type=model.scheduler_config.get("prediction_type", "epsilon"),
        fingerprint=model.fingerprint,
        samplers={
            name: SamplerCard(max_steps=entry.max_steps, refusal=entry.refusal)
            for name, entry in support.items()
        },
        seen_at=time.time(),
    )


def _max_side(engine: Engine, settings: WorkerSettings) -> int:
    """In pixels; what memory has no room for is not offered."""
    model = engine.model
    asked = settings.max_side or 2 * max(model.native_size)
    if engine.budget.memory is None:
        return asked
    return min(asked, engine.budget.memory.side * model.vae_scale_factor)


def worker_card(engine: Engine, settings: WorkerSettings, metrics_port: int) -> WorkerCard:
    return WorkerCard(
        name=settings.worker_name,
        model=engine.model.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        device=str(engine.model.device),
        dtype=str(engine.model.dtype).removeprefix("torch."),
        rows=engine.budget.native_rows,
        metrics_port=metrics_port,
        started_at=time.time(),
        max_side=_max_side(engine, settings),
        version=version("darkroom"),
        contract=CONTRACT_VERSION,
    )
