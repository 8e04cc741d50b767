"""Where the device's time goes in steps of the engine, by kernel."""

from collections.abc import Iterator

from families import build_model
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from gpu.rates import picture
from gpu.setting import PROMPTS, Setting, Tree
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine

PROFILED = 3  # steps
SHOWN = 25  # kernels


def kernels(setting: Setting) -> Iterator[Tree]:
    """As they are recorded; the steps before have recorded them."""
    model = build_model(setting.families[0], setting.device, setting.dtype)
    engine = Engine(model, RowBudget(2 * setting.static_batch, model.native_shape))
    for seed in range(setting.static_batch):
        engine.add(picture(model, PROMPTS[seed % len(PROMPTS)], seed, key=seed + 1))
    for _ in range(4):
        engine.step()
    on_gpu = setting.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for _ in range(PROFILED):
            engine.step()
    key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    # What launches a kernel is told its time as well, and is not to count beside it.
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    averages = [each for each in profiler.key_averages() if each.device_type == kind]
    averages.sort(key=lambda each: -getattr(each, key))
    yield {
        "kernels": {
            "steps": PROFILED,
            "rows": 2 * setting.static_batch,
            "all_ms": sum(getattr(each, key) for each in averages) / 1000,
            "ms": {
                each.key: [round(getattr(each, key) / 1000, 3), each.count]
                for each in averages[:SHOWN]
            },
        }
    }
