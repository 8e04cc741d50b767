"""How long U-Net calls take, and the row budget that follows from it."""

import math
import time

import torch

from worker.engine.budget import RowBudget
from worker.engine.device import finish
from worker.engine.memory_plan import MemoryPlan
from worker.engine.model import Model, Shape

CANDIDATES = (2, 4, 8, 16, 32, 64)
LEAST_ROWS = 8  # with fewer, a short request hardly ever runs beside a long one
GAIN = 0.9  # a larger batch must bring the time per row down to this share of the best so far
ENOUGH_S = 1.0  # measuring ends when it has taken this long
REPEATS = 2


def measure_budget(
    model: Model, memory: MemoryPlan | None = None
) -> tuple[RowBudget, dict[int, float]]:
    """Finds the fewest rows past which a larger batch hardly pays; warms the U-Net up as well.

    Args:
        memory: tells how many rows there is room for.

    Returns:
        The budget, and the seconds that a U-Net call took by number of rows.
    """
    best_rows, best_per_row = LEAST_ROWS, float("inf")
    seconds: dict[int, float] = {}
    began = time.perf_counter()
    most = memory.rows(model.native_shape) if memory is not None else max(CANDIDATES)
    for rows in CANDIDATES:
        if rows > max(2, most):
            best_rows = min(best_rows, most)
            break
        try:
            seconds[rows] = unet_seconds(model, rows, model.native_shape)
        except (torch.OutOfMemoryError, MemoryError):
            best_rows = min(best_rows, max(seconds, default=2))
            break
        if seconds[rows] / rows < GAIN * best_per_row:
            best_rows, best_per_row = max(rows, LEAST_ROWS), seconds[rows] / rows
        if rows >= 4 * best_rows or time.perf_counter() - began > ENOUGH_S:
            break
    return RowBudget(best_rows, model.native_shape, memory), seconds


def whole_calls(fixed: int, most: int) -> int:
    """The row budget where every call has `fixed` rows: no part of a call that nobody could use."""
    calls = math.ceil(LEAST_ROWS / fixed)
    return fixed * max(1, min(calls, most // fixed))


@torch.inference_mode()
def unet_seconds(model: Model, rows: int, shape: Shape, repeats: int = REPEATS) -> float:
    """The fastest of `repeats` U-Net calls after a first one that is not counted, in seconds."""
    latents = torch.randn(rows, model.latent_channels, *shape).to(model.device)
    timesteps = torch.full((rows,), 500.0, device=model.device)
    width = model.unet.config.cross_attention_dim
    conditioning = torch.zeros(
        rows, model.token_limit, width, device=model.device, dtype=model.dtype
    )
    fastest = float("inf")
    for attempt in range(repeats + 1):
        finish(model.device)
        began = time.perf_counter()
        model.predict(latents, timesteps, conditioning)
        finish(model.device)
        if attempt > 0:
            fastest = min(fastest, time.perf_counter() - began)
    return fastest
