"""All that a step does around its U-Net call, as pure functions in the symbols of `sampler.py`.

Sums are written out term by term: no picture is rounded otherwise for the company that it is in.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from worker.engine.compiled import Backend
from worker.engine.guidance import guide, pairs_of
from worker.engine.recorder import Recorder
from worker.engine.sampler import HISTORY, PROGRAM_WIDTH

TIMESTEP, INPUT_SCALE = 0, 1
LATENTS = 2
OUTPUTS = LATENTS + HISTORY
NOISE = OUTPUTS + HISTORY
"""Columns of a sampler's program; A and B take HISTORY each."""

Advance = Callable[..., Tensor]
"""As `advance`."""


def scale(current: Tensor, past: Tensor) -> Tensor:
    """c_in x[i], what the U-Net sees; see `advance` for the shapes."""
    return past[:, 0] * _column(current, INPUT_SCALE)


def advance(
    current: Tensor,
    past: Tensor,
    answers: Tensor,
    pairs: Tensor,
    guidance: Tensor,
    fresh: Tensor | None = None,
) -> Tensor:
    """x[i+1] = sum_k A[i,k] x[i-k] + sum_k B[i,k] e[i-k] + C[i] z[i], where e[i] is the guided
    answer of the U-Net.

    Args:
        current: [pictures, PROGRAM_WIDTH], row i of each picture's program.
        past: [pictures, 2 HISTORY, channels, h, w] float32: the latents x[i] and those before it,
            then the outputs e[i-1] and those before it.
        answers: [rows, channels, h, w] float32, as the U-Net gave them.
        pairs: [pictures, 2] int64, as `guide` has them.
        guidance: [pictures, 1, 1, 1].
        fresh: [pictures, channels, h, w] float32, z[i]; None where nobody draws.

    Returns:
        What is past then: the latents from x[i+1] on, the outputs from e[i] on.
    """
    latents, outputs = past[:, :HISTORY].unbind(1), past[:, HISTORY:].unbind(1)
    outputs = (guide(answers, pairs, guidance), *outputs[:-1])
    after = _column(current, LATENTS) * latents[0]
    for k in range(1, HISTORY):
        after = after + _column(current, LATENTS + k) * latents[k]
    for k in range(HISTORY):
        after = after + _column(current, OUTPUTS + k) * outputs[k]
    if fresh is not None:
        after = after + _column(current, NOISE) * fresh
    return torch.stack([after, *latents[:-1], *outputs], dim=1)


class Compiled:
    """`advance`, compiled once for any number of pictures: one kernel."""

    def __init__(self, function: Advance, backend: str | Backend = "inductor"):
        self._compiled = torch.compile(function, backend=backend, dynamic=True)

    def __call__(self, *given: Tensor) -> Tensor:
        given, pictures = filled(*given), len(given[0])
        if pictures == 1:  # which torch would compile apart, as it would another memory layout
            given = tuple(torch.cat([each, each]) for each in given)
        given = tuple(each.contiguous() for each in given)
        after: Tensor = self._compiled(*given)
        return after[:pictures]


class Recorded:
    """`advance`, replayed on a GPU as one graph for each number of pictures."""

    def __init__(self) -> None:
        self._replay = Recorder(advance)

    def __call__(self, *given: Tensor) -> Tensor:
        return self._replay(*filled(*given))


def filled(
    current: Tensor,
    past: Tensor,
    answers: Tensor,
    pairs: Tensor,
    guidance: Tensor,
    fresh: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """What `advance` takes, to the same end, in shapes that follow from the number of pictures
    alone, as if all were guided and drew: what is missing is zero, and no pair refers to it."""
    missing = 2 * len(past) - len(answers)
    if missing:
        answers = torch.cat([answers, answers.new_zeros(missing, *answers.shape[1:])])
    if fresh is None:
        fresh = torch.zeros_like(past[:, 0])
    return current, past, answers, pairs, guidance, fresh


def fused(device: torch.device, *, records: bool, compiles: bool) -> Advance:
    """`advance` as one launch: compiled into one kernel, or replayed on a GPU."""
    if compiles:
        return Compiled(advance)
    return Recorded() if records and device.type == "cuda" else advance


@torch.inference_mode()
def rehearse(follow: Advance, channels: int, shape: tuple[int, int], device: torch.device) -> None:
    """Has what follows a U-Net call compiled before a picture waits for it, for all sizes: torch
    would take sides of one length for the same, as those of a square picture."""
    pictures, height, width = 7, shape[0] + 1, shape[1] + 2
    past = torch.zeros(pictures, 2 * HISTORY, channels, height, width, device=device)
    current, guidance = past.new_zeros(pictures, PROGRAM_WIDTH), past.new_ones(pictures, 1, 1, 1)
    answers = past.new_zeros(2 * pictures, channels, height, width)
    follow(current, past, answers, pairs_of(pictures, pictures).to(device), guidance)


def _column(current: Tensor, column: int) -> Tensor:
    return current[:, column, None, None, None]
