"""From settings to an engine that is ready."""

import logging
import time

import diffusers
import torch
import transformers

from contract.errors import BadSetting
from worker.engine.budget import RowBudget
from worker.engine.decode import decode
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.solver import rehearse
from worker.engine.unet_timing import measure_budget, unet_seconds
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


def start_engine(settings: WorkerSettings) -> Engine:
    """Loads the checkpoint and finds the row budget.

    Raises:
        BadSetting: the device or dtype asked for is not there.
        BadCheckpoint: the checkpoint is missing or broken.
    """
    _quieten_libraries()
    torch.set_num_threads(settings.threads)
    device = _device(settings)
    dtype = _dtype(settings, device)
    model = load_model(
        settings.checkpoint,
        device,
        dtype,
        records=settings.cuda_graphs,
        compiles=settings.compile,
    )
    if settings.compile:
        _compile(model)
    if settings.max_rows is not None:
        budget = RowBudget(settings.max_rows, model.native_shape)
    else:
        budget, seconds = measure_budget(model)
        measured = ", ".join(f"{rows}: {1000 * s:.0f} ms" for rows, s in seconds.items())
        logger.info("row budget %d, from U-Net calls of %s", budget.native_rows, measured)
    engine = Engine(model, budget, settings.prompt_cache)
    assert engine.previewer  # fits it
    return engine


def _compile(model: Model) -> None:
    """Now, and not when the first picture waits for it.

    Raises:
        BadSetting: torch finds no compiler here, or none that can do it.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # slow to load, and here it is anyway

    logger.info("compiling the model, which takes minutes unless torch has it in its cache")
    began = time.perf_counter()
    latents = torch.zeros(2, model.latent_channels, *model.native_shape, device=model.device)
    try:
        unet_seconds(model, 2, model.native_shape, repeats=0)
        decode(model, latents)
        rehearse(model.advance_call, model.latent_channels, model.native_shape, model.device)
    except BackendCompilerFailed as error:
        reason = str(error).splitlines()[0]
        raise BadSetting(
            f"DARKROOM_COMPILE is true, but torch cannot compile here ({reason}); install a C++ "
            "compiler, or set it to false."
        ) from error
    logger.info("compiled in %.0f s", time.perf_counter() - began)


def _quieten_libraries() -> None:
    """Their progress bars and their remarks on our configurations say nothing to an operator."""
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _device(settings: WorkerSettings) -> torch.device:
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise BadSetting("DARKROOM_DEVICE is cuda, but torch finds no GPU; set it to auto or cpu.")
    return torch.device(settings.device)


def _dtype(settings: WorkerSettings, device: torch.device) -> torch.dtype:
    if settings.dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if settings.dtype == "float16" and device.type == "cpu":
        raise BadSetting("DARKROOM_DTYPE is float16, which a CPU does not do; use float32 or auto.")
    dtype = getattr(torch, settings.dtype)
    assert isinstance(dtype, torch.dtype)
    return dtype
