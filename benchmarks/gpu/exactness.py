"""How far the starter's pictures are from each other in another precision, mode or company."""

from collections.abc import Iterator

import numpy as np
import torch
from given import STARTER
from likeness import psnr

from gpu.rates import picture
from gpu.setting import PROMPTS, Setting, Tree
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model


def exactness(setting: Setting) -> Iterator[Tree]:
    """PSNR in dB: half precision against float32, and recorded calls against plain ones."""
    half = load_model(STARTER, setting.device, setting.dtype)
    drawn, whole = draw(half), draw(load_model(STARTER, setting.device, torch.float32))
    yield {"exactness": {"half_against_float32_db": psnr(drawn, whole)}}
    plain = load_model(STARTER, setting.device, setting.dtype, CallOptions(records=False))
    on_cpu = load_model(STARTER, torch.device("cpu"), torch.float32)
    alone = np.concatenate([draw(half, (prompt,)) for prompt in PROMPTS])
    yield {
        "exactness": {
            "recorded_against_plain_db": psnr(drawn, draw(plain)),
            "float32_against_cpu_db": psnr(whole, draw(on_cpu)),
            "alone_against_together_db": psnr(alone, drawn),
        }
    }


def exactness_compiled(setting: Setting) -> Iterator[Tree]:
    """Likewise, of compiled calls."""
    drawn = draw(load_model(STARTER, setting.device, setting.dtype))
    whole = draw(load_model(STARTER, setting.device, torch.float32))
    compiled = draw(load_model(STARTER, setting.device, setting.dtype, CallOptions(compiles=True)))
    yield {
        "exactness": {
            "compiled_against_plain_db": psnr(compiled, drawn),
            "compiled_against_float32_db": psnr(compiled, whole),
        }
    }


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
