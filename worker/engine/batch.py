"""The pictures of one latent shape that are being developed together, and their tensors."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from contract.errors import GenerationError
from worker.engine import noise
from worker.engine.blame import DeviceFailed, blame
from worker.engine.checkpoint import Checkpoint
from worker.engine.conditioning import Conditioning
from worker.engine.device import finish
from worker.engine.guidance import guide
from worker.engine.model import Model, Shape
from worker.engine.picture import Picture
from worker.engine.preview import preview_steps
from worker.engine.sampler import HISTORY
from worker.engine.usage import Usage

TIMESTEP, INPUT_SCALE = 0, 1
LATENTS = slice(2, 2 + HISTORY)
OUTPUTS = slice(2 + HISTORY, 2 + 2 * HISTORY)
NOISE = 2 + 2 * HISTORY
"""Columns of a sampler's program."""

Estimate = tuple[Tensor, dict[Hashable, GenerationError]]


@dataclass(slots=True, eq=False)
class Row:
    """The host's side of a picture in the batch."""

    picture: Picture
    conditional: Conditioning
    unconditional: Conditioning | None
    generator: torch.Generator
    program: Tensor  # [N, PROGRAM_WIDTH] float32 on the device
    latents: Tensor  # [HISTORY, channels, h, w] float32 on the device, at joining and leaving
    outputs: Tensor  # [HISTORY, channels, h, w] float32 on the device, likewise
    admitted_at: float
    usage: Usage
    joined_at: float = field(default_factory=time.perf_counter)
    step: int = 0  # model evaluations done
    shown_at: tuple[int, ...] = ()  # model evaluations after which it is shown

    @property
    def is_shown(self) -> bool:
        """Whether somebody wants to see it after the last step."""
        return self.step in self.shown_at

    @property
    def is_done(self) -> bool:
        return self.step >= len(self.picture.table)

    @property
    def end(self) -> Checkpoint:
        """Where the picture is once it is done; no step comes that would want the outputs."""
        return _checkpoint(self, self.latents.cpu(), self.latents[:0].cpu())

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the picture is that is in no batch."""
        return _checkpoint(self, self.latents.cpu(), self.outputs.cpu())

    @property
    def draws(self) -> bool:
        return self.picture.table.draws[self.step]


def make_row(
    model: Model,
    picture: Picture,
    conditional: Conditioning,
    unconditional: Conditioning | None,
    admitted_at: float,
) -> Row:
    """A picture at its start: pure noise of its own seed, or where it was interrupted."""
    size = (model.latent_channels, *model.shape(picture.width, picture.height))
    source = noise.generator(picture.seed)
    state = picture.start or _beginning(source, picture, size)
    source.set_state(state.generator)
    return Row(
        picture=picture,
        conditional=conditional,
        unconditional=unconditional,
        generator=source,
        program=picture.table.program(model.device),
        latents=_whole(state.latents).to(model.device),
        outputs=_whole(state.outputs).to(model.device),
        admitted_at=admitted_at,
        usage=Usage(row_steps=picture.rows * state.step),
        step=state.step,
        shown_at=preview_steps(picture.previews, len(picture.table)),
    )


def _beginning(source: torch.Generator, picture: Picture, size: tuple[int, int, int]) -> Checkpoint:
    latents = noise.draw(source, *size)[None] * picture.table.init_noise_sigma
    return Checkpoint(0, latents, latents[:0], source.get_state())


def _checkpoint(row: Row, latents: Tensor, outputs: Tensor) -> Checkpoint:
    """With as much of the past as the steps to come refer to."""
    reach = row.picture.table.reach(row.step)
    return Checkpoint(
        row.step, latents[: reach.latents], outputs[: reach.outputs], row.generator.get_state()
    )


def _whole(past: Tensor) -> Tensor:
    """[HISTORY, channels, h, w]: what nobody will ask for is zero."""
    missing = HISTORY - len(past)
    return torch.cat([past, past.new_zeros(missing, *past.shape[1:])])


class Batch:
    """Rows of one shape, guided ones first, with everything that a step needs on the device.

    The tensors are laid out anew when pictures join or leave; a step itself moves nothing between
    host and device but the fresh noise of those samplers that want it.
    """

    def __init__(self, model: Model, shape: Shape):
        self._model = model
        self._shape = shape
        self.rows: list[Row] = []
        self.stepped_at = time.perf_counter()
        cells = (model.latent_channels, *shape)
        self._latents = torch.zeros(0, HISTORY, *cells, device=model.device)  # newest first
        self._outputs = torch.zeros(0, HISTORY, *cells, device=model.device)  # newest first
        self._inputs = self._latents[:, 0]  # of the last U-Net call

    @property
    def width(self) -> int:
        """Rows of the next U-Net call."""
        return sum(row.picture.rows for row in self.rows)

    def join(self, new: Sequence[Row]) -> None:
        """All of them, or none where the device has no room for them and raises."""
        latents = torch.cat([self._latents, *(row.latents[None] for row in new)])
        outputs = torch.cat([self._outputs, *(row.outputs[None] for row in new)])
        self._lay_out([*self.rows, *new], latents, outputs)

    def last_call(self, pictures: list[int]) -> tuple[Tensor, Tensor]:
        """What the U-Net saw of these pictures in the last step and what it said, guided; each
        [pictures, channels, h, w]. Holds until the rows change."""
        return self._inputs[pictures], self._outputs[pictures, 0]

    def checkpoints(self) -> dict[Hashable, Checkpoint]:
        """Where each picture is; one copy from the device for all of them."""
        latents, outputs = self._latents.cpu(), self._outputs.cpu()
        return {
            row.picture.key: _checkpoint(row, past, answers)
            for row, past, answers in zip(self.rows, latents, outputs, strict=True)
        }

    def leave(self, keys: set[Hashable]) -> list[Row]:
        """Takes out the pictures named, done or not; their rows come back with their tensors."""
        left = []
        for i, row in enumerate(self.rows):
            if row.picture.key in keys:
                row.latents, row.outputs = self._latents[i], self._outputs[i]
                left.append(row)
        if left:
            stay = [i for i, row in enumerate(self.rows) if row.picture.key not in keys]
            rows = [self.rows[i] for i in stay]
            self._lay_out(rows, self._latents[stay], self._outputs[stay])
        return left

    def _lay_out(self, rows: list[Row], latents: Tensor, outputs: Tensor) -> None:
        """Guided rows first. Nothing is changed before everything has been made."""
        order = sorted(range(len(rows)), key=lambda i: not rows[i].picture.is_guided)
        rows = [rows[i] for i in order]
        latents, outputs = latents[order], outputs[order]
        if rows:
            device = self._model.device
            lengths = [len(row.program) for row in rows]
            starts = accumulate(lengths[:-1], initial=0)
            cursor = [start + row.step for start, row in zip(starts, rows, strict=True)]
            guided = [row for row in rows if row.picture.is_guided]
            scale = [row.picture.guidance for row in guided]
            embeddings = [row.unconditional.embedding for row in guided if row.unconditional]
            embeddings += [row.conditional.embedding for row in rows]
            self._programs, self._cursor, self._guidance, self._conditioning = (
                torch.cat([row.program for row in rows]),
                torch.tensor(cursor, device=device),  # where each picture is in its program
                torch.tensor(scale, device=device).reshape(-1, 1, 1, 1),
                torch.stack(embeddings),
            )
        self.rows, self._latents, self._outputs = rows, latents, outputs

    @torch.inference_mode()
    def step(self) -> dict[Hashable, GenerationError]:
        """One denoising step for every picture. Those that failed come back and must leave.

        Raises:
            DeviceFailed: they failed, and none of them is to blame.
        """
        current = self._programs[self._cursor]  # [pictures, PROGRAM_WIDTH]
        scaled = self._latents[:, 0] * _column(current, INPUT_SCALE)
        outputs, failures = self._estimate(scaled, current[:, TIMESTEP], range(len(self.rows)))
        self._outputs = torch.cat([outputs[:, None], self._outputs[:, :-1]], dim=1)
        after = torch.einsum("pk,pk...->p...", current[:, LATENTS], self._latents)
        after += torch.einsum("pk,pk...->p...", current[:, OUTPUTS], self._outputs)
        fresh = self._fresh_noise()
        if fresh is not None:
            after += _column(current, NOISE) * fresh
        self._latents = torch.cat([after[:, None], self._latents[:, :-1]], dim=1)
        self._cursor = self._cursor + 1
        self._inputs = scaled
        for row in self.rows:
            row.step += 1
        self._finish()
        self.stepped_at = time.perf_counter()
        return failures

    def _finish(self) -> None:
        """Between steps the device is done with what was asked of it, so that who comes is not made
        to wait for steps that were asked for long before, and each step's time is its own."""
        try:
            finish(self._model.device)
        except RuntimeError as error:
            raise DeviceFailed(str(error)) from error

    def _fresh_noise(self) -> Tensor | None:
        if not any(row.draws for row in self.rows):
            return None
        size = (self._model.latent_channels, *self._shape)
        nothing = torch.zeros(size)
        drawn = [noise.draw(row.generator, *size) if row.draws else nothing for row in self.rows]
        return torch.stack(drawn).to(self._model.device, non_blocking=True)

    def _estimate(self, scaled: Tensor, timesteps: Tensor, pictures: range) -> Estimate:
        """The guided output of each picture, [pictures, channels, h, w], and which ones failed.

        A fault halves the batch and tries again, down to the one picture that it belongs to.

        Raises:
            DeviceFailed: it belongs to none.
        """
        try:
            return self._call(scaled, timesteps, pictures), {}
        except Exception as error:
            if len(pictures) == 1:
                key = self.rows[pictures[0]].picture.key
                return torch.zeros_like(scaled[:1]), {key: blame(self._model, error)}
        middle = len(pictures) // 2
        first, failed_first = self._estimate(scaled, timesteps, pictures[:middle])
        second, failed_second = self._estimate(scaled, timesteps, pictures[middle:])
        return torch.cat([first, second]), failed_first | failed_second

    def _call(self, scaled: Tensor, timesteps: Tensor, pictures: range) -> Tensor:
        """The U-Net on a run of pictures, of which the guided come first."""
        guided_before = len(self._guidance)
        every = slice(pictures.start, pictures.stop)
        guided = slice(pictures.start, max(pictures.start, min(pictures.stop, guided_before)))
        conditional = slice(guided_before + pictures.start, guided_before + pictures.stop)
        outputs = self._model.predict(
            torch.cat([scaled[guided], scaled[every]]),
            torch.cat([timesteps[guided], timesteps[every]]),
            torch.cat([self._conditioning[guided], self._conditioning[conditional]]),
        )
        return guide(outputs, self._guidance[guided])


def _column(current: Tensor, column: int) -> Tensor:
    return current[:, column, None, None, None]
