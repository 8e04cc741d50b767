"""Where a stage computes, and in which precision."""

from contextlib import AbstractContextManager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel

CPU_BF16 = ("avx512_bf16", "amx_bf16")
"""Processor features with which bfloat16 is faster than float32, not merely possible."""


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in CPU_BF16)


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Matrix products in bfloat16 where that pays; weights and the loss stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))


def use_plain_attention(*models: UNet2DConditionModel | CLIPTextModel) -> None:
    """On a CPU, where torch's fused attention is slow backwards: the U-Net's step went from 0.57 s
    to 0.37 s. What is saved of a model does not depend on it.
    """
    for model in models:
        if model.device.type != "cpu":
            continue
        if isinstance(model, UNet2DConditionModel):
            model.set_attn_processor(AttnProcessor())
        else:
            model.set_attn_implementation("eager")
