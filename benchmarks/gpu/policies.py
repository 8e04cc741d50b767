"""Serving policies side by side, as benchmarks/policies.py has them, on the first family."""

from collections.abc import Iterator

from families import build_model
from policies import compare

from gpu.setting import Setting, Tree
from worker.engine.unet_timing import unet_seconds

DURATION = 9  # times what a rate is measured for


def policies(setting: Setting) -> Iterator[Tree]:
    model = build_model(setting.families[0], setting.device, setting.dtype)
    if setting.records:  # now, and not in the turn of whichever policy is the first to call them
        for rows in range(1, setting.budget_rows + 1):
            unet_seconds(model, rows, model.native_shape)
    yield {"policies": compare(model, setting.budget_rows, DURATION * setting.measured_s)}
