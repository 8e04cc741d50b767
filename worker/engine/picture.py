"""The engine's vocabulary: what goes in, what comes out."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.errors import GenerationError
from contract.rows import rows_of
from worker.engine.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor

    from worker.engine.checkpoint import Checkpoint
    from worker.engine.sampler import SamplerTable
    from worker.engine.stream import Moment


EVERY_STEP = sys.maxsize


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to develop. `key` is the caller's own name for it.

    It brings its unconditional row to the model evaluations from `guided_from` on and before
    `guided_until`; its estimate at the others is the conditional one alone.
    """

    key: Hashable
    prompt: str
    negative_prompt: str
    guidance: float
    seed: int
    width: int  # pixels
    height: int  # pixels
    table: SamplerTable
    start: Checkpoint | None = None  # where it goes on; from noise if None
    is_urgent: bool = False  # joins at the next step, and others make way
    previews: int = 0  # how often it is shown on its way
    guided_from: int = 0  # model evaluations
    guided_until: int = EVERY_STEP  # model evaluations

    @property
    def is_guided(self) -> bool:
        """Whether any of its steps is."""
        return rows_of(self.guidance) == 2 and self.guided_from < self.guided_until

    @property
    def rows(self) -> int:
        """The most that it brings to a step that it has before it."""
        return self.most_rows(self.start.step if self.start is not None else 0)

    def rows_at(self, step: int) -> int:
        """What it brings after `step` model evaluations."""
        return 2 if self.is_guided and self.guided_from <= step < self.guided_until else 1

    def most_rows(self, step: int) -> int:
        """The most that it brings after `step` model evaluations or more."""
        return 2 if self.is_guided and step < self.guided_until else 1

    @property
    def left(self) -> int:
        """Model evaluations to come, of a picture that has not begun here."""
        return len(self.table) - (self.start.step if self.start is not None else 0)

    def row_steps(self, step: int) -> int:
        """What it has brought to its first `step` model evaluations."""
        guided = min(step, self.guided_until) - self.guided_from
        return step + max(0, guided) if self.is_guided else step


class Beside(NamedTuple):
    """Of one size: pictures that ride beside the row budget, and when the others make room."""

    rows: int = 0
    free_in: int = 0  # model evaluations until the first of the others leaves; 0 without any


@dataclass(frozen=True, slots=True)
class Developed:
    """A finished picture. Times are readings of `time.perf_counter`."""

    key: Hashable
    pixels: NDArray[np.uint8]  # [height, width, 3] RGB
    admitted_at: float  # had room, and its prompts were encoded
    joined_at: float  # joined the batch
    denoised_at: float  # had its last step
    decoded_at: float
    warnings: tuple[str, ...]
    end: Checkpoint  # after its last step, from where it is only decoded
    usage: Usage


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A picture that failed, alone."""

    key: Hashable
    error: GenerationError
    usage: Usage


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What a picture will look like, as far as can be told at one of its steps."""

    key: Hashable
    index: int  # among the previews of the picture, from 0
    share: float  # how far the picture is, from 0 to 1
    pixels: Tensor  # [h, w, 3] uint8 RGB of latent space, on the host
    copied: Moment  # from when on the pixels are whole


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one `Engine.step` did. Rows and seconds are of the step that was done in it, which on a
    GPU is the one that was asked for before; `rows` is 0 where there was none."""

    developed: tuple[Developed, ...] = ()
    spoiled: tuple[Spoiled, ...] = ()
    previews: tuple[Preview, ...] = ()
    denoised: tuple[Hashable, ...] = ()  # the pictures that are only to be decoded from here on
    joined: int = 0  # pictures
    resumed: int = 0  # row-steps that checkpoints saved those that came
    rows: int = 0  # rows of the U-Net call
    most_rows: int = 0  # the budget of its size
    cost: float = 1.0  # of a row, in rows of the native size
    text_s: float = 0.0  # prompts to embeddings
    step_s: float = 0.0  # denoising, the other two apart
    decode_s: float = 0.0
    decodes_beside: bool = False  # on a stream of its own, in the time of the steps

    @property
    def busy_s(self) -> float:
        """How long the device was busy with all of it."""
        return self.text_s + self.step_s + (0.0 if self.decodes_beside else self.decode_s)
