"""From settings to an engine that is ready."""

import logging
import time
from dataclasses import replace

import diffusers
import torch
import transformers

from contract.errors import BadSetting
from worker.engine.budget import RowBudget
from worker.engine.decode import decode
from worker.engine.device_memory import DeviceMemory
from worker.engine.engine import Engine
from worker.engine.fitted_decoder import fit_decoder
from worker.engine.memory import measure_needs
from worker.engine.memory_plan import MemoryPlan, bytes_of_one, plan_memory
from worker.engine.model import Model, load_model
from worker.engine.unet_timing import measure_budget, unet_seconds
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
    memory = DeviceMemory(device, settings.memory_mb)
    model = load_model(
        settings.checkpoint,
        device,
        dtype,
        records=settings.cuda_graphs,
        compiles=settings.compile,
        phase=phases.phase,
    )
    with phases.phase("memory"):
        plan = _plan(model, memory, settings)
        model = replace(model, vae_call=fit_decoder(model, plan))
    if settings.compile:
        with phases.phase("compile"):
            _compile(model)
    with phases.phase("warm_up"):
        engine = Engine(model, _budget(model, plan, settings), settings.prompt_cache)
        assert engine.previewer  # fits it
    return engine


def _plan(model: Model, memory: DeviceMemory, settings: WorkerSettings) -> MemoryPlan:
    """
    Raises:
        BadSetting: there is no room for one guided picture of the native size.
    """
    width, height = model.native_size
    asked = (settings.max_side or 2 * max(width, height)) // model.vae_scale_factor
    calls = 2 if model.device.type == "cuda" and settings.cuda_graphs else 1
    try:
        needs = measure_needs(model, (asked, asked), settings.prompt_cache, memory)
        plan = plan_memory(needs, memory.limit, model.native_shape, asked, calls)
    except (torch.OutOfMemoryError, ValueError) as error:
        there_is = (
            f"DARKROOM_MEMORY_MB is {settings.memory_mb}"
            if memory.is_asked
            else f"there are {memory.limit / 1e6:,.0f} MB for it on {model.device}"
        )
        taken = f"more than {memory.limit / 1e6:,.0f} MB"
        if isinstance(error, ValueError):
            taken = str(error)
        raise BadSetting(
            f"The model with one guided picture of {width}x{height} pixels takes {taken} of "
            f"memory, and {there_is}."
        ) from error
    _tell(model, plan, asked)
    return plan


def _tell(model: Model, plan: MemoryPlan, asked: int) -> None:
    native, needs = model.native_shape, plan.needs
    cells = native[0] * native[1]
    logger.info(
        "memory: %.0f of %.0f MB for the model, %.1f MB a row, %.1f MB a picture while it is "
        "decoded: room for %d rows",
        needs.fixed / 1e6,
        plan.limit / 1e6,
        needs.unet.bytes(cells) / 1e6,
        needs.decoder.bytes(cells) / 1e6,
        plan.rows(native),
    )
    factor = model.vae_scale_factor
    if plan.side < asked:
        logger.warning(
            "pictures of more than %d pixels a side are refused: a guided one of %d takes %.2f GB",
            plan.side * factor,
            asked * factor,
            bytes_of_one(needs, (asked, asked), plan.calls) / 1e9,
        )
    if plan.pictures((plan.side, plan.side)) == 0:
        logger.warning("the largest pictures are decoded in tiles, for want of memory")


def _budget(model: Model, plan: MemoryPlan, settings: WorkerSettings) -> RowBudget:
    if settings.max_rows is not None:
        rows = min(settings.max_rows, plan.rows(model.native_shape))
        return RowBudget(rows, model.native_shape, plan)
    budget, seconds = measure_budget(model, plan)
    measured = ", ".join(f"{rows}: {1000 * s:.0f} ms" for rows, s in seconds.items())
    logger.info("row budget %d, from U-Net calls of %s", budget.native_rows, measured)
    return budget


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
