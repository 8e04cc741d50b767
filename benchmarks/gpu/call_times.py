"""How long U-Net and decoder calls take, by rows and by mode."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from families import Family, arguments, build_unet, build_vae, caller, gigaflop
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu.setting import Setting, memory, say, seconds
from worker.engine.compiled import CompiledOneByOne, CompiledRows
from worker.engine.device import finish
from worker.engine.model import call_vae
from worker.engine.recorder import Recorder

PICTURES = (1, 2, 4, 8)  # of a decoder call
BACKENDS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
Times = dict[str, dict[int, float]]
"""Seconds, by mode and by rows or pictures."""


def unets(setting: Setting) -> dict[str, object]:
    """As diffusers has it, recorded, and compiled and recorded."""
    found = {}
    for family in setting.families:
        giga, _ = gigaflop(family)
        with memory(setting.device) as used:
            times = unet_times(setting, family)
        found[family.name] = {
            "cells": family.cells,
            "gigaflop_per_row": giga,
            "seconds": times,
            "tflops": tflops(giga, times),
            "peak_gb": used[0] / 1e9,
        }
        say(f"{family.name}, U-Net, TFLOP/s by rows: {found[family.name]['tflops']}")
    return found


@torch.inference_mode()
def unet_times(setting: Setting, family: Family) -> Times:
    unet = build_unet(family, setting.device, setting.dtype)
    call = caller(unet)

    def times(function: Callable[..., Tensor]) -> dict[int, float]:
        return {
            rows: seconds(partial(function, *arguments(family, rows, unet)), setting.device)
            for rows in setting.rows
        }

    found = {"diffusers": times(call)}
    if setting.records:
        found["recorded"] = times(Recorder(call))
    if setting.compiles:
        unet.to(memory_format=torch.channels_last)
        began = time.perf_counter()
        compiled = CompiledRows(call, (family.cells, family.cells))
        compiled(*arguments(family, 2, unet))
        finish(setting.device)
        say(f"{family.name}: U-Net compiled in {time.perf_counter() - began:.0f} s")
        found["compiled"] = times(Recorder(compiled) if setting.records else compiled)
    return found


@torch.inference_mode()
def attention(setting: Setting) -> dict[str, object]:
    """The largest U-Net call with each way to compute attention that the device has, and with
    torch's own choice among them."""
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {"torch's choice": nullcontext}
    ways |= {backend.name: partial(sdpa_kernel, backend) for backend in BACKENDS}
    found: dict[str, object] = {}
    for family in setting.families:
        unet = build_unet(family, setting.device, setting.dtype)
        call = partial(caller(unet), *arguments(family, setting.rows[-1], unet))
        found[family.name] = {
            name: seconds_within(way, call, setting.device) for name, way in ways.items()
        }
    return found


def seconds_within(
    way: Callable[[], AbstractContextManager[object]],
    call: Callable[[], Tensor],
    device: torch.device,
) -> float | None:
    """None where the device cannot do it that way."""
    try:
        with way():
            return seconds(call, device)
    except RuntimeError:
        return None


def decoders(setting: Setting) -> dict[str, object]:
    """The VAE's decoder, by pictures a call."""
    found = {}
    for family in setting.families:
        _, giga = gigaflop(family)
        with memory(setting.device) as used:
            times = decoder_times(setting, family)
        found[family.name] = {
            "gigaflop_per_picture": giga,
            "seconds": times,
            "tflops": tflops(giga, times),
            "peak_gb": used[0] / 1e9,
        }
    return found


@torch.inference_mode()
def decoder_times(setting: Setting, family: Family) -> Times:
    vae = build_vae(family, setting.device, setting.dtype)
    size, options = (family.cells, family.cells), {"device": setting.device, "dtype": setting.dtype}
    latents = {count: torch.randn(count, 4, *size, **options) for count in PICTURES}
    call = call_vae(vae)

    def times(function: Callable[[Tensor], Tensor]) -> dict[int, float]:
        return {
            count: seconds(partial(function, given), setting.device)
            for count, given in latents.items()
        }

    found = {"diffusers": times(call)}
    if setting.compiles:
        vae.to(memory_format=torch.channels_last)
        found["compiled"] = times(CompiledOneByOne(call, size))
    return found


def tflops(giga: float, times: Mapping[str, Mapping[int, float]]) -> Times:
    return {
        mode: {size: giga * size / taken / 1000 for size, taken in by_size.items()}
        for mode, by_size in times.items()
    }
