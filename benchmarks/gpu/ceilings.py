"""What the device does at most: matrix products, and copies within its memory."""

from collections.abc import Iterator

import torch

from gpu.setting import Setting, Tree, say, seconds


def ceilings(setting: Setting) -> Iterator[Tree]:
    side = 8192 if setting.device.type == "cuda" else 256
    one, other = (
        torch.randn(side, side, device=setting.device, dtype=setting.dtype) for _ in range(2)
    )
    product = seconds(lambda: one @ other, setting.device)
    source = torch.empty(side * side * 4, device=setting.device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), setting.device)
    found = {
        "matmul_tflops": 2 * side**3 / product / 1e12,
        "copy_tb_per_s": 2 * source.nbytes / copy / 1e12,
    }
    say(f"matrix products at {found['matmul_tflops']:.0f} TFLOP/s")
    yield {"ceilings": found}
