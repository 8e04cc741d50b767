"""What a model takes of its device's memory: measured on a GPU, counted without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from worker.engine.device import finish
from worker.engine.device_memory import DeviceMemory
from worker.engine.live_bytes import live_peak
from worker.engine.memory_plan import Need, Needs
from worker.engine.model import Model, Shape, UnetCall, VaeCall, call_unet, call_vae
from worker.engine.sampler import HISTORY

META = torch.device("meta")
LATENT_BYTES = 4  # float32
KEPT = 4 * HISTORY + 2
"""Latents that a picture keeps between steps: its past and the outputs in the batch, the same as
they were when it joined, and two for the step itself."""

Peak = Callable[[Callable[[], object]], int]
"""Bytes that a call takes at its peak."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a model whose peaks are looked at, and what they are given."""

    unet: UnetCall
    decoder: VaeCall
    device: torch.device
    dtype: torch.dtype
    channels: int
    tokens: int
    width: int  # of a token's embedding

    def unet_on(self, rows: int, shape: Shape) -> Callable[[], Tensor]:
        options: dict[str, Any] = {"device": self.device, "dtype": self.dtype}
        latents = torch.zeros(rows, self.channels, *shape, **options)
        timesteps = torch.full((rows,), 500.0, device=self.device)
        conditioning = torch.zeros(rows, self.tokens, self.width, **options)
        return lambda: self.unet(latents, timesteps, conditioning)

    def decoder_on(self, shape: Shape) -> Callable[[], Tensor]:
        latents = torch.zeros(1, self.channels, *shape, device=self.device, dtype=self.dtype)
        return lambda: self.decoder(latents)


def measure_needs(
    model: Model, largest: Shape, remembered: int, memory: DeviceMemory | None = None
) -> Needs:
    """
    Args:
        largest: the largest picture that may be asked for.
        remembered: prompts whose embeddings are kept on the device.
        memory: of a GPU, as it was before the model was loaded.

    Raises:
        torch.OutOfMemoryError: there is no room for a picture of the native size.
    """
    calls, native = calls_of(model), model.native_shape
    if memory is not None and model.device.type == "cuda":
        needs = needs_of(calls, lambda call: _measured(call, model.device), native, largest)
        torch.cuda.empty_cache()  # so that the largest picture's memory is not held from now on
        fixed = memory.taken()
    else:
        needs = needs_of(without_weights(model, calls), live_peak, native, largest)
        fixed = sum(weight_bytes(part) for part in (model.text_encoder, model.unet, model.vae))
    return replace(needs, fixed=fixed + int(remembered * needs.kept_per_row / 2))


def calls_of(model: Model) -> Calls:
    """Of its modules as they are: what is compiled or recorded takes no more."""
    return Calls(
        call_unet(model.unet),
        call_vae(model.vae),
        model.device,
        model.dtype,
        model.latent_channels,
        model.token_limit,
        int(model.unet.config.cross_attention_dim),
    )


@torch.inference_mode()
def needs_of(calls: Calls, peak: Peak, native: Shape, largest: Shape) -> Needs:
    """All but what is fixed. Two row counts and two sizes are looked at; attention is the part of
    a call that might grow faster than they do."""
    unet = [(rows * _cells(native), peak(calls.unet_on(rows, native))) for rows in (2, 4)]
    decoder = [(_cells(native), peak(calls.decoder_on(native)))]
    try:
        unet.append((2 * _cells(largest), peak(calls.unet_on(2, largest))))
        decoder.append((_cells(largest), peak(calls.decoder_on(largest))))
    except torch.OutOfMemoryError:
        pass  # the plan will say how large a picture may be
    return Needs(
        fixed=0,
        unet=fit(unet),
        decoder=fit(decoder),
        kept_per_cell=KEPT * calls.channels * LATENT_BYTES,
        kept_per_row=2 * calls.tokens * calls.width * calls.dtype.itemsize,
    )


def fit(points: Sequence[tuple[int, int]]) -> Need:
    """The line that no point is above, as steep as the steepest way between two of them.

    Args:
        points: cells and the bytes that a call of so many takes, by cells.
    """
    slopes = [
        (after[1] - before[1]) / (after[0] - before[0])
        for before, after in pairwise(points)
        if after[0] > before[0]
    ]
    per_cell = max([*slopes, 0.0]) or points[0][1] / points[0][0]
    return Need(max(0.0, *(taken - per_cell * cells for cells, taken in points), 0.0), per_cell)


def weight_bytes(module: nn.Module) -> int:
    return sum(each.nbytes for each in (*module.parameters(), *module.buffers()))


def without_weights(model: Model, calls: Calls) -> Calls:
    """The same on `meta`, where a call takes milliseconds whatever its size."""
    unet, vae = (_bare(part) for part in (model.unet, model.vae))
    return replace(calls, unet=call_unet(unet), decoder=call_vae(vae), device=META)


def _bare(module: Any) -> Any:
    with META:
        return type(module).from_config(module.config).to(module.dtype).eval()


def _measured(call: Callable[[], object], device: torch.device) -> int:
    """By CUDA's allocator, once a first call has chosen the kernels and has its workspaces."""
    call()
    finish(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    finish(device)
    return torch.cuda.max_memory_allocated(device) - before


def _cells(shape: Shape) -> int:
    return shape[0] * shape[1]
