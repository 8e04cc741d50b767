"""Serving policies side by side, as benchmarks/policies.py has them, on the first family."""

from families import build_model
from policies import compare

from gpu.setting import Setting
from worker.engine.call_options import CallOptions
from worker.engine.model import prepare

DURATION = 9  # times what a rate is measured for


def policies(setting: Setting) -> dict[str, object]:
    model = build_model(setting.families[0], setting.device, setting.dtype)
    if setting.compiles:
        model = prepare(model, CallOptions(compiles=True))
    return compare(model, 2 * setting.in_flight, DURATION * setting.measured_s)
