"""From settings to an engine that is ready."""

import logging

import diffusers
import torch
import transformers

from contract.errors import BadSetting
from worker.compilation import compile_model, keep_compiled
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.unet_timing import measure_budget
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
    options = _call_options(settings, device)
    if settings.compile:
        keep_compiled(settings.compile_cache)
    model = load_model(settings.checkpoint, device, dtype, options)
    budget = _budget(model, settings)
    if settings.compile:
        rows, in_buckets = budget.native_rows, settings.compile_buckets
        model = compile_model(model, options, rows, in_buckets=in_buckets)
    engine = Engine(model, budget, settings.prompt_cache)
    assert engine.previewer  # fits it
    return engine


def _call_options(settings: WorkerSettings, device: torch.device) -> CallOptions:
    fixed, most = settings.fixed_rows, settings.max_rows
    if fixed is not None and most is not None and fixed > most:
        raise BadSetting(
            f"DARKROOM_FIXED_ROWS is {fixed}, more than the {most} of DARKROOM_MAX_ROWS; rows that "
            "are never used would be computed in every call."
        )
    if fixed is not None and settings.compile and device.type == "cpu":
        raise BadSetting(
            "DARKROOM_FIXED_ROWS and DARKROOM_COMPILE are both set, but what is compiled for a CPU "
            "promises no equal bits; leave one of them out."
        )
    return CallOptions(
        records=settings.cuda_graphs,
        channels_last={"true": True, "false": False}.get(settings.channels_last),
        fixed_rows=fixed,
    )


def _budget(model: Model, settings: WorkerSettings) -> RowBudget:
    if settings.max_rows is not None:
        return RowBudget(settings.max_rows, model.native_shape)
    budget, seconds = measure_budget(model)
    measured = ", ".join(f"{rows}: {1000 * s:.0f} ms" for rows, s in seconds.items())
    logger.info("row budget %d, from U-Net calls of %s", budget.native_rows, measured)
    return budget


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
