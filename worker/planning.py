"""How the memory of a worker's device is shared out, or why it does not suffice."""

import logging

import torch

from contract.errors import BadSetting
from worker.engine.device_memory import DeviceMemory
from worker.engine.memory import measure_needs
from worker.engine.memory_plan import MemoryPlan, bytes_of_one, plan_memory
from worker.engine.model import Model
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


def memory_plan(model: Model, memory: DeviceMemory, settings: WorkerSettings) -> MemoryPlan:
    """
    Raises:
        BadSetting: there is no room for one guided picture of the native size.
    """
    if memory.limit > memory.free:
        logger.warning(
            "DARKROOM_MEMORY_MB is %d, and %s has %.0f MB free: what is planned may not be there",
            settings.memory_mb,
            model.device,
            memory.free / 1e6,
        )
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
        logger.warning(
            "pictures with more pixels than %dx%d are decoded in tiles, for want of memory",
            *2 * (max(native) * factor,),
        )
