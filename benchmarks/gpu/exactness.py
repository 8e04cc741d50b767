"""How far the starter's pictures are from each other in another precision, mode or company."""

from pathlib import Path

import numpy as np
import torch

from gpu.rates import picture
from gpu.setting import PROMPTS, Setting
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model

STARTER = Path("models/starter")


def exactness(setting: Setting) -> dict[str, float]:
    """PSNR in dB: half precision against float32, and recorded calls against plain ones."""
    half = load_model(STARTER, setting.device, setting.dtype)
    whole = load_model(STARTER, setting.device, torch.float32)
    plain = load_model(STARTER, setting.device, setting.dtype, CallOptions(records=False))
    on_cpu = load_model(STARTER, torch.device("cpu"), torch.float32)
    drawn = draw(half)
    found = {
        "half_against_float32_db": psnr(drawn, draw(whole)),
        "recorded_against_plain_db": psnr(drawn, draw(plain)),
        "float32_against_cpu_db": psnr(draw(whole), draw(on_cpu)),
        "alone_against_together_db": psnr(
            np.concatenate([draw(half, (prompt,)) for prompt in PROMPTS]), drawn
        ),
    }
    if setting.compiles:
        compiled = load_model(STARTER, setting.device, setting.dtype, CallOptions(compiles=True))
        found["compiled_against_plain_db"] = psnr(draw(compiled), drawn)
        found["compiled_against_float32_db"] = psnr(draw(compiled), draw(whole))
    return found


def draw(model: Model, prompts: tuple[str, ...] = PROMPTS) -> np.ndarray:
    """[pictures, height, width, 3], developed together; each prompt has its own seed."""
    engine = Engine(model, RowBudget(2 * len(PROMPTS), model.native_shape))
    for prompt in prompts:
        engine.add(picture(model, prompt, PROMPTS.index(prompt)))
    found = {}
    while not engine.is_idle:
        report = engine.step()
        if report.spoiled:
            raise report.spoiled[0].error
        found |= {made.key: made.pixels for made in report.developed}
    return np.stack([found[prompt] for prompt in prompts])


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, in dB; 100 for equal ones."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))
