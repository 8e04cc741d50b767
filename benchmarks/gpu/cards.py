"""Smaller cards, played by this device: what the memory plan allows there, and what it takes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from families import Family, build_model

from gpu.rates import picture
from gpu.setting import Setting, Tree, memory, say, tidy
from worker.engine.budget import RowBudget
from worker.engine.device_memory import RESERVE, DeviceMemory
from worker.engine.engine import Engine
from worker.engine.fitted_decoder import fit_decoder
from worker.engine.memory import measure_needs
from worker.engine.memory_plan import MemoryPlan, plan_memory
from worker.engine.model import Model

STEPS = 4  # of each picture: enough for calls to be recorded, and for decoding beside them
MOST_ROWS = 256
PROMPTS = 512  # that are remembered, as a worker does by default


def cards(setting: Setting) -> Iterator[Tree]:
    """The first family on each card, with as many rows as the plan has room for."""
    for gb in setting.cards_gb:
        try:
            yield {"memory": {f"{gb:g}": card(setting.families[0], setting, gb)}}
        finally:
            if setting.device.type == "cuda":
                torch.cuda.set_per_process_memory_fraction(1.0)
            tidy(setting.device)


def card(family: Family, setting: Setting, gb: float) -> dict[str, Any]:
    """torch gives no more than the plan may take, as if there were no more."""
    allowed = DeviceMemory(setting.device, int(gb * 1000 * (1 - RESERVE)))
    model = build_model(family, setting.device, setting.dtype)
    side, calls = 2 * family.cells, 2 if setting.records else 1
    needs = measure_needs(model, (side, side), PROMPTS, allowed)
    plan = plan_memory(needs, allowed.limit, model.native_shape, side, calls)
    rows = min(MOST_ROWS, plan.rows(model.native_shape))
    with memory(setting.device) as used:
        failed = fill(model, plan, rows)
    say(f"a card of {gb:g} GB: {rows} rows take {used[0] / 1e9:.2f} GB, {failed} failed")
    return {
        "limit_gb": allowed.limit / 1e9,
        "model_gb": needs.fixed / 1e9,
        "rows": rows,
        "decoded_at_once": plan.pictures(model.native_shape),
        "largest_side": plan.side * model.vae_scale_factor,
        "peak_gb": used[0] / 1e9,
        "failed": failed,
    }


def fill(model: Model, plan: MemoryPlan, rows: int) -> int:
    """Twice as many pictures as there is room for, to their ends; how many of them failed."""
    fitted = replace(model, vae_call=fit_decoder(model, plan))
    engine = Engine(fitted, RowBudget(rows, model.native_shape, plan), prompt_cache=PROMPTS)
    for seed in range(rows):
        engine.add(picture(model, f"a picture, the {seed}th", seed, steps=STEPS))
    failed = 0
    while not engine.is_idle:
        failed += len(engine.step().spoiled)
    return failed
