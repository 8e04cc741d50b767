"""Serving policies side by side, as benchmarks/policies.py has them, on the first family."""

from collections.abc import Iterator

from families import build_model
from policies import BAR_TRAFFICS, SMALL, compare
from policy.runs import BAR_LOAD, Plan

from gpu.setting import Setting, Tree
from worker.engine.unet_timing import unet_seconds

DURATION = 9  # times what a rate is measured for


def policies(setting: Setting) -> Iterator[Tree]:
    model = build_model(setting.families[0], setting.device, setting.dtype)
    plan = SMALL
    if setting.records:
        limit_s = DURATION * setting.measured_s / len(BAR_TRAFFICS)
        plan = Plan(400, 0, 400, loads=(BAR_LOAD,), limit_s=limit_s)
        # Now, and not in the turn of whichever policy is the first to call so many rows.
        for rows in range(1, setting.budget_rows + 1):
            unet_seconds(model, rows, model.native_shape)
    yield {"policies": compare(model, setting.budget_rows, plan)}
