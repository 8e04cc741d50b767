"""The pictures of one latent shape that are being developed together, and their tensors."""

import logging
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from contract.errors import GenerationError
from worker.engine import noise
from worker.engine.blame import blame
from worker.engine.checkpoint import Checkpoint
from worker.engine.conditioning import Conditioning
from worker.engine.device import upload
from worker.engine.guidance import guide, pairs_of
from worker.engine.model import Model, Shape
from worker.engine.picture import Beside, Picture
from worker.engine.preview import preview_steps
from worker.engine.sampler import HISTORY
from worker.engine.solver import TIMESTEP, scale
from worker.engine.stream import Moment, Stream
from worker.engine.usage import Usage

CPU = torch.device("cpu")

logger = logging.getLogger(__name__)

Failures = dict[Hashable, GenerationError]


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
    denoised_at: float = 0.0  # had the last step that is known to be done
    step: int = 0  # model evaluations done
    shown_at: tuple[int, ...] = ()  # model evaluations after which it is shown
    is_beside: bool = False  # the row budget: it is gone before that has room

    @property
    def is_shown(self) -> bool:
        """Whether somebody wants to see it after the last step."""
        return self.step in self.shown_at

    @property
    def is_done(self) -> bool:
        return self.step >= len(self.picture.table)

    @property
    def rows(self) -> int:
        """Of the next step."""
        return self.picture.rows_at(self.step)

    @property
    def most_rows(self) -> int:
        """Of any step to come."""
        return self.picture.most_rows(self.step)

    @property
    def draws(self) -> bool:
        return self.picture.table.draws[self.step]

    @property
    def warnings(self) -> tuple[str, ...]:
        """For who asked for the picture."""
        read = (("prompt", self.conditional), ("negative_prompt", self.unconditional))
        return tuple(
            f"{field} is longer than the model reads; left out: {conditioning.cut_off}"
            for field, conditioning in read
            if conditioning is not None and conditioning.cut_off
        )


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
    state.wait()
    source.set_state(state.generator)
    return Row(
        picture=picture,
        conditional=conditional,
        unconditional=unconditional,
        generator=source,
        program=upload(picture.table.program(CPU), model.device),
        latents=upload(_whole(state.latents), model.device),
        outputs=upload(_whole(state.outputs), model.device),
        admitted_at=admitted_at,
        usage=Usage(row_steps=picture.row_steps(state.step)),
        step=state.step,
        shown_at=preview_steps(picture.previews, len(picture.table)),
    )


def _beginning(source: torch.Generator, picture: Picture, size: tuple[int, int, int]) -> Checkpoint:
    latents = noise.draw(source, *size)[None] * picture.table.init_noise_sigma
    return Checkpoint(0, latents, latents[:0], source.get_state())


def checkpoints_of(rows: Sequence[Row], stream: Stream) -> dict[Hashable, Checkpoint]:
    """Where pictures are that are in no batch."""
    pasts = []
    for row in rows:
        reach = row.picture.table.reach(row.step)
        latents, outputs = row.latents[: reach.latents], row.outputs[: reach.outputs]
        pasts.append((stream.download(latents), stream.download(outputs)))
    copied = stream.mark()
    return {
        row.picture.key: _checkpoint(row, *past, copied)
        for row, past in zip(rows, pasts, strict=True)
    }


def _checkpoint(row: Row, latents: Tensor, outputs: Tensor, copied: Moment) -> Checkpoint:
    """With as much of the past as the steps to come refer to."""
    reach = row.picture.table.reach(row.step)
    return Checkpoint(
        row.step,
        latents[: reach.latents],
        outputs[: reach.outputs],
        row.generator.get_state(),
        copied,
    )


def _whole(past: Tensor) -> Tensor:
    """[HISTORY, channels, h, w]: what nobody will ask for is zero."""
    missing = HISTORY - len(past)
    return torch.cat([past, past.new_zeros(missing, *past.shape[1:])])


class Batch:
    """Rows of one shape, guided ones first, with everything that a step needs on the device.

    The tensors are laid out anew when pictures join or leave, or when guidance begins or ends for
    one; a step itself moves nothing between host and device but the fresh noise of those samplers
    that want it.
    """

    def __init__(self, model: Model, shape: Shape):
        self._model = model
        self._shape = shape
        self.rows: list[Row] = []
        self.stepped_at = time.perf_counter()
        cells = (model.latent_channels, *shape)
        self._past = torch.zeros(0, 2 * HISTORY, *cells, device=model.device)
        self._inputs = self._past[:, 0]  # of the last U-Net call

    @property
    def _latents(self) -> Tensor:
        """[pictures, HISTORY, channels, h, w], newest first."""
        return self._past[:, :HISTORY]

    @property
    def _outputs(self) -> Tensor:
        """[pictures, HISTORY, channels, h, w], newest first."""
        return self._past[:, HISTORY:]

    @property
    def width(self) -> int:
        """Rows of the next U-Net call."""
        return sum(row.rows for row in self.rows)

    @property
    def most_rows(self) -> int:
        """Of any step to come, without those beside the row budget."""
        return sum(row.most_rows for row in self.rows if not row.is_beside)

    @property
    def beside(self) -> Beside:
        rows = sum(row.most_rows for row in self.rows if row.is_beside)
        others = (len(row.picture.table) - row.step for row in self.rows if not row.is_beside)
        return Beside(rows, min(others, default=0))

    def join(self, new: Sequence[Row]) -> None:
        """All of them, or none where the device has no room for them and raises."""
        latents = torch.cat([self._latents, *(row.latents[None] for row in new)])
        outputs = torch.cat([self._outputs, *(row.outputs[None] for row in new)])
        self._lay_out([*self.rows, *new], latents, outputs)

    def last_call(self, pictures: list[int]) -> tuple[Tensor, Tensor]:
        """What the U-Net saw of these pictures in the last step and what it said, guided; each
        [pictures, channels, h, w]. Holds until the rows change."""
        places = self._indices(pictures)
        return self._inputs[places], self._outputs[:, 0][places]

    def checkpoints(self, stream: Stream) -> dict[Hashable, Checkpoint]:
        """Where each picture is; one copy from the device for all of them."""
        latents, outputs = stream.download(self._latents), stream.download(self._outputs)
        copied = stream.mark()
        return {
            row.picture.key: _checkpoint(row, past, answers, copied)
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
            places = self._indices(stay)
            self._lay_out(rows, self._latents[places], self._outputs[places])
        return left

    @torch.inference_mode()  # tensors of either kind would each be compiled for
    def _lay_out(self, rows: list[Row], latents: Tensor, outputs: Tensor) -> None:
        """Guided rows first. Nothing is changed before everything has been made."""
        order = sorted(range(len(rows)), key=lambda i: -rows[i].rows)
        rows = [rows[i] for i in order]
        places = self._indices(order)
        past = torch.cat([latents[places], outputs[places]], dim=1)
        if rows:
            lengths = [len(row.program) for row in rows]
            starts = accumulate(lengths[:-1], initial=0)
            cursor = [start + row.step for start, row in zip(starts, rows, strict=True)]
            guided = [row for row in rows if row.rows == 2]
            guidance = [row.picture.guidance for row in rows]
            embeddings = [row.unconditional.embedding for row in guided if row.unconditional]
            embeddings += [row.conditional.embedding for row in rows]
            self._programs, self._cursor, self._guidance, self._pairs, self._conditioning = (
                torch.cat([row.program for row in rows]),
                self._indices(cursor),  # where each picture is in its program
                upload(torch.tensor(guidance).reshape(-1, 1, 1, 1), self._model.device),
                upload(pairs_of(len(guided), len(rows)), self._model.device),
                torch.stack(embeddings),
            )
            self._guided_before = len(guided)
        self.rows, self._past = rows, past

    @property
    def _is_laid_out(self) -> bool:
        """Whether those that are guided in the next step are those that come first."""
        return all((row.rows == 2) == (i < self._guided_before) for i, row in enumerate(self.rows))

    @torch.inference_mode()
    def step(self) -> Failures:
        """One denoising step for every picture, which a GPU is only asked for. Those that failed
        come back and must leave.

        Raises:
            DeviceFailed: they failed, and none of them is to blame.
        """
        if not self._is_laid_out:
            self._lay_out(self.rows, self._latents, self._outputs)
        current = self._programs[self._cursor]  # [pictures, PROGRAM_WIDTH]
        scaled = scale(current, self._past)
        answers, pairs, failures = self._ask(scaled, current[:, TIMESTEP])
        said = (answers, pairs, self._guidance)
        self._past = self._model.advance_call(current, self._past, *said, *self._fresh_noise())
        self._cursor = self._cursor + 1
        self._inputs = scaled
        for row in self.rows:
            row.step += 1
        self.stepped_at = time.perf_counter()
        return failures

    def _fresh_noise(self) -> tuple[Tensor, ...]:
        """For `advance`: nothing where nobody draws."""
        if not any(row.draws for row in self.rows):
            return ()
        size = (self._model.latent_channels, *self._shape)
        nothing = torch.zeros(size)
        drawn = [noise.draw(row.generator, *size) if row.draws else nothing for row in self.rows]
        return (upload(torch.stack(drawn), self._model.device),)

    def _ask(self, scaled: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor, Failures]:
        """What the U-Net says of all pictures, the pairs that `guide` wants of it, and which of
        them failed; after a fault the estimates themselves, each a pair with itself."""
        every = range(len(self.rows))
        try:
            return self._call(scaled, timesteps, every), self._pairs, {}
        except Exception as error:
            logger.warning("a call of %d rows failed: %s", self.width, error)
        estimates, failures = self._estimate(scaled, timesteps, every)
        return estimates, upload(pairs_of(0, len(every)), scaled.device), failures

    def _estimate(
        self, scaled: Tensor, timesteps: Tensor, pictures: range
    ) -> tuple[Tensor, Failures]:
        """The guided output of each picture, [pictures, channels, h, w], and which ones failed.

        A fault halves the batch and tries again, down to the one picture that it belongs to.

        Raises:
            DeviceFailed: it belongs to none.
        """
        try:
            answers = self._call(scaled, timesteps, pictures)
            pairs = pairs_of(len(answers) - len(pictures), len(pictures))
            scales = self._guidance[pictures.start : pictures.stop]
            return guide(answers, upload(pairs, answers.device), scales), {}
        except Exception as error:
            if len(pictures) == 1:
                key = self.rows[pictures[0]].picture.key
                return torch.zeros_like(scaled[:1]), {key: blame(self._model, error)}
        middle = len(pictures) // 2
        first, failed_first = self._estimate(scaled, timesteps, pictures[:middle])
        second, failed_second = self._estimate(scaled, timesteps, pictures[middle:])
        return torch.cat([first, second]), failed_first | failed_second

    def _call(self, scaled: Tensor, timesteps: Tensor, pictures: range) -> Tensor:
        """The U-Net on a run of pictures, of which the guided come first: the unconditional rows of
        those, then the conditional ones of all."""
        guided_before = self._guided_before
        every = slice(pictures.start, pictures.stop)
        guided = slice(pictures.start, max(pictures.start, min(pictures.stop, guided_before)))
        conditional = slice(guided_before + pictures.start, guided_before + pictures.stop)
        conditioning = self._conditioning  # which is laid out for all of them
        if len(pictures) < len(self.rows):
            conditioning = torch.cat([conditioning[guided], conditioning[conditional]])
        return self._model.predict(
            torch.cat([scaled[guided], scaled[every]]),
            torch.cat([timesteps[guided], timesteps[every]]),
            conditioning,
        )

    def _indices(self, places: Sequence[int]) -> Tensor:
        """On the device, where a list would make the host wait for it."""
        return upload(torch.tensor(places, dtype=torch.int64), self._model.device)
