"""How long U-Net and decoder calls take, by rows and by mode."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from families import Family, arguments, build_unet, build_vae, caller, gigaflop
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu.setting import Setting, Tree, memory, say, seconds
from worker.engine.model import Model, call_vae
from worker.engine.recorder import Recorder

BACKENDS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
Call = Callable[..., Tensor]
Times = dict[int, float]
"""Seconds, by rows or pictures."""


@torch.inference_mode()
def unets(setting: Setting) -> Iterator[Tree]:
    """As diffusers has it, and recorded."""
    for family in setting.families:
        unet = build_unet(family, setting.device, setting.dtype)
        call = caller(unet)
        with memory(setting.device) as used:
            times = unet_times(call, family, setting, setting.rows)
        yield told("unets", family, "diffusers", times)
        yield {"unets": {family.name: {"cells": family.cells, "peak_gb": used[0] / 1e9}}}
        if setting.records:
            times = unet_times(Recorder(call), family, setting, setting.rows)
            yield told("unets", family, "recorded", times)
        del unet, call


@torch.inference_mode()
def decoders(setting: Setting) -> Iterator[Tree]:
    """The VAE's decoder, as diffusers has it."""
    for family in setting.families:
        vae = build_vae(family, setting.device, setting.dtype)
        with memory(setting.device) as used:
            times = decoder_times(call_vae(vae), family, setting)
        yield told("decoders", family, "diffusers", times)
        yield {"decoders": {family.name: {"peak_gb": used[0] / 1e9}}}
        del vae


@torch.inference_mode()
def compiled_calls(model: Model, family: Family, setting: Setting) -> Iterator[Tree]:
    times = unet_times(model.unet_call, family, setting, setting.rows, sizes=False)
    yield told("unets", family, "compiled", times)
    yield told("decoders", family, "compiled", decoder_times(model.vae_call, family, setting))


def unet_times(
    call: Call, family: Family, setting: Setting, rows: Sequence[int], *, sizes: bool = True
) -> Times:
    """
    Args:
        sizes: whether the call takes SDXL's sizes, where the family has them.
    """
    like = {"device": setting.device, "dtype": setting.dtype}
    given = {count: arguments(family, count, sizes=sizes, **like) for count in rows}
    return {
        count: seconds(partial(call, *tensors), setting.device) for count, tensors in given.items()
    }


def decoder_times(call: Call, family: Family, setting: Setting) -> Times:
    like = {"device": setting.device, "dtype": setting.dtype}
    return {
        count: seconds(
            partial(call, torch.randn(count, 4, family.cells, family.cells, **like)), setting.device
        )
        for count in setting.pictures
    }


def told(part: str, family: Family, mode: str, times: Times) -> Tree:
    of_row, of_picture = gigaflop(family)
    name, giga = {
        "unets": ("gigaflop_per_row", of_row),
        "decoders": ("gigaflop_per_picture", of_picture),
    }[part]
    rates = {size: giga * size / taken / 1000 for size, taken in times.items()}
    say(
        f"{family.name}, {part}, {mode}, TFLOP/s: "
        + ", ".join(f"{size}: {rate:.0f}" for size, rate in rates.items())
    )
    found = {name: giga, "seconds": {mode: times}, "tflops": {mode: rates}}
    return {part: {family.name: found}}


@torch.inference_mode()
def attention(setting: Setting) -> Iterator[Tree]:
    """The largest U-Net call with each way to compute attention that the device has, and with
    torch's own choice among them."""
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {"torch's choice": nullcontext}
    ways |= {backend.name: partial(sdpa_kernel, backend) for backend in BACKENDS}
    for family in setting.families:
        unet = build_unet(family, setting.device, setting.dtype)
        given = arguments(family, setting.rows[-1], setting.device, setting.dtype)
        call = partial(caller(unet), *given)
        found = {name: seconds_within(way, call, setting.device) for name, way in ways.items()}
        yield {"attention": {family.name: found}}
        del unet, call


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
