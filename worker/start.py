"""From settings to an engine that is ready."""

import logging
from dataclasses import replace

import diffusers
import torch
import transformers

from contract.errors import BadSetting
from worker.compilation import compile_model, keep_compiled
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.device_memory import DeviceMemory
from worker.engine.engine import Engine
from worker.engine.fitted_decoder import fit_decoder
from worker.engine.memory_plan import MemoryPlan
from worker.engine.model import Model, load_model
from worker.engine.unet_timing import measure_budget, unet_seconds, whole_calls
from worker.planning import memory_plan
from worker.settings import WorkerSettings
from worker.start_phases import StartPhases

logger = logging.getLogger(__name__)


def start_engine(settings: WorkerSettings, phases: StartPhases | None = None) -> Engine:
    """Loads the checkpoint and finds the row budget.

    Args:
        phases: told how long what takes.

    Raises:
        BadSetting: the device or dtype asked for is not there, or memory has no room for a picture.
        BadCheckpoint: the checkpoint is missing or broken.
    """
    phases = phases or StartPhases()
    _quieten_libraries()
    torch.set_num_threads(settings.threads)
    device = _device(settings)
    dtype = _dtype(settings, device)
    options = _call_options(settings, device)
    if settings.compile:
        keep_compiled(settings.compile_cache)
    memory = DeviceMemory(device, settings.memory_mb)
    model = load_model(settings.checkpoint, device, dtype, options, phases.phase)
    with phases.phase("memory"):
        plan = memory_plan(model, memory, settings)
        _require_room(plan, model, options)
    with phases.phase("warm_up"):
        budget = _budget(model, plan, settings)
    if settings.compile:
        with phases.phase("compile"):
            rows, in_buckets = budget.native_rows, settings.compile_buckets
            model = compile_model(model, options, rows, in_buckets=in_buckets)
    model = replace(model, vae_call=fit_decoder(model, plan))
    with phases.phase("warm_up"):
        engine = Engine(model, budget, settings.prompt_cache)
        assert engine.previewer  # fits it
    return engine


def _call_options(settings: WorkerSettings, device: torch.device) -> CallOptions:
    settings.require_kept_promise(device.type)
    return CallOptions(
        records=settings.cuda_graphs,
        channels_last={"true": True, "false": False}.get(settings.channels_last),
        fixed_rows=settings.fixed_rows,
    )


def _require_room(plan: MemoryPlan, model: Model, options: CallOptions) -> None:
    """For calls of fixed row counts, which have so many rows whoever is there."""
    most = plan.rows(model.native_shape)
    if options.fixed_rows is not None and options.fixed_rows > most:
        raise BadSetting(
            f"DARKROOM_FIXED_ROWS is {options.fixed_rows}, and memory has room for {most} rows."
        )


def _budget(model: Model, plan: MemoryPlan, settings: WorkerSettings) -> RowBudget:
    most = plan.rows(model.native_shape)
    if settings.max_rows is not None:
        rows = min(settings.max_rows, most)
        if model.device.type == "cuda" and not settings.compile:
            unet_seconds(model, rows, model.native_shape)  # chooses kernels, and is recorded
        return RowBudget(rows, model.native_shape, plan, is_strict=True)
    if settings.fixed_rows is not None:
        rows = whole_calls(settings.fixed_rows, most)
        return RowBudget(rows, model.native_shape, plan, is_strict=True)
    budget, seconds = measure_budget(model, plan)
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
