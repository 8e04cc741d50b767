"""What the device does at most: matrix products, and copies within its memory."""

import torch

from gpu.setting import Setting, seconds


def ceilings(setting: Setting) -> dict[str, float]:
    side = 8192 if setting.device.type == "cuda" else 256
    one, other = (
        torch.randn(side, side, device=setting.device, dtype=setting.dtype) for _ in range(2)
    )
    product = seconds(lambda: one @ other, setting.device)
    source = torch.empty(side * side * 4, device=setting.device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), setting.device)
    return {
        "matmul_tflops": 2 * side**3 / product / 1e12,
        "copy_tb_per_s": 2 * source.nbytes / copy / 1e12,
    }
