"""The loop: pictures are admitted, stepped together, and retired as soon as each is done."""

import time
from collections import deque
from collections.abc import Collection, Hashable, Iterator
from functools import cached_property
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray

from contract.errors import GenerationError, NotFinite
from worker.engine.batch import Batch, Row, make_row
from worker.engine.blame import blame
from worker.engine.budget import RowBudget
from worker.engine.checkpoint import Checkpoint, fingerprint_of, read_checkpoint
from worker.engine.conditioning import PromptEncoder
from worker.engine.decode import decode
from worker.engine.model import Model, Shape
from worker.engine.picture import Developed, Picture, Preview, Spoiled, StepReport
from worker.engine.preview import Previewer
from worker.engine.sampler import SamplerTable
from worker.engine.usage import Usage

MOST_DECODED = 8
"""Pictures per VAE call: a decoder holds far more memory per picture than the U-Net."""


class Engine:
    """Develops pictures of any samplers, steps, guidance and sizes in shared U-Net calls.

    Not for use by several threads at once.
    """

    def __init__(self, model: Model, budget: RowBudget, prompt_cache: int = 512):
        self.model = model
        self.budget = budget
        self.prompts = PromptEncoder(model, prompt_cache)
        self._waiting: dict[Shape, deque[Picture]] = {}
        self._batches: dict[Shape, Batch] = {}
        self._paused: dict[Shape, deque[Row]] = {}
        """Those that have made way for urgent ones, the longest here first."""
        self._arrived_done: list[Row] = []
        """Resumed after their last step; they leave in the step in which they come."""
        self._spoiled: list[Spoiled] = []
        self._spent = Usage()
        """Of the present step, by all pictures."""
        self._resumed = 0
        """Row-steps that checkpoints saved the pictures of the present step."""

    @cached_property
    def previewer(self) -> Previewer:
        """Fitted at its first use, which `worker/start.py` does not leave to a picture."""
        return Previewer.fit(self.model)

    @property
    def width(self) -> int:
        """Rows of the U-Net calls that take every running picture one step further."""
        return sum(batch.width for batch in self._batches.values())

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._batches or self._paused or self._spoiled)

    @property
    def load(self) -> float:
        """The rows of all pictures here, waiting or running, in rows of the native shape."""
        waiting = sum(self._cost(picture) for queue in self._waiting.values() for picture in queue)
        return waiting + sum(self._cost(row.picture) for row in self._rows())

    @property
    def row_steps_left(self) -> float:
        """What all pictures here still need, in rows of the native shape by model evaluations."""
        waiting = (
            self._cost(each) * (len(each.table) - (each.start.step if each.start else 0))
            for queue in self._waiting.values()
            for each in queue
        )
        begun = (
            self._cost(row.picture) * (len(row.picture.table) - row.step) for row in self._rows()
        )
        return sum(waiting) + sum(begun)

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Of the pictures here, in pixels: width and height."""
        return {(picture.width, picture.height) for picture in self._pictures()}

    @property
    def has_room(self) -> bool:
        return self.load < self.budget.native_rows

    def add(self, picture: Picture) -> None:
        """The picture joins between two of the coming steps, in the order of its arrival; an urgent
        one before all others.

        Raises:
            ValueError: one of this key is here already, and nobody could tell the two apart.
        """
        if any(picture.key == each.key for each in self._pictures()):
            raise ValueError(f"{picture.key} is being developed already")
        shape = self.model.shape(picture.width, picture.height)
        queue = self._waiting.setdefault(shape, deque())
        place = sum(each.is_urgent for each in queue) if picture.is_urgent else len(queue)
        queue.insert(place, picture)

    def remove(self, keys: Collection[Hashable]) -> Usage:
        """Drops pictures, waiting or running; their neighbours do not notice. What they had of the
        device comes back."""
        gone, had = set(keys), Usage()
        for row in self._rows():
            if row.picture.key in gone:
                had.add(row.usage)
        for shape, queue in self._waiting.items():
            self._waiting[shape] = deque(picture for picture in queue if picture.key not in gone)
        for shape, rows in self._paused.items():
            self._paused[shape] = deque(row for row in rows if row.picture.key not in gone)
        for batch in self._batches.values():
            batch.leave(gone)
        self._forget_empty()
        return had

    def progress(self) -> dict[Hashable, float]:
        """How far each picture is that has begun, from 0 to 1."""
        return {row.picture.key: row.step / len(row.picture.table) for row in self._rows()}

    def checkpoints(self) -> dict[Hashable, Checkpoint]:
        """Where each picture is that has begun, to be resumed here or elsewhere."""
        running = {
            key: checkpoint
            for batch in self._batches.values()
            for key, checkpoint in batch.checkpoints().items()
        }
        return running | {row.picture.key: row.checkpoint for row in self._paused_rows()}

    def fingerprint(self, table: SamplerTable) -> bytes:
        """Of all that the steps of a picture with this table follow from here."""
        return fingerprint_of(self.model, table)

    def resumed(self, checkpoint: bytes, fingerprint: bytes) -> Checkpoint | None:
        """Where a picture goes on; None where it starts over: see `read_checkpoint`."""
        return read_checkpoint(checkpoint, fingerprint)

    def step(self) -> StepReport:
        """One denoising step of one shape; what is finished comes back.

        Raises:
            DeviceFailed: something failed, and no picture is to blame.
        """
        began = time.perf_counter()
        self._spent, self._resumed = Usage(), 0
        joined = self._admit()
        developed = self._retire_arrived()
        shape = self._next_shape()
        if shape is None:
            return self._report(developed, joined=joined)
        batch = self._batches[shape]
        riders, rows = batch.rows, batch.width
        failures = batch.step()
        previews = self._show(batch, failures.keys())
        done = self._leave(batch, failures)
        denoised = time.perf_counter()
        self._share_step(riders, rows, denoised - began - self._spent.device_s)
        developed += self._retire(done, denoised)
        cost = self.budget.cost(shape)
        return self._report(developed, previews, joined, rows, self.budget.rows(shape), cost)

    def _report(
        self,
        developed: list[Developed],
        previews: tuple[Preview, ...] = (),
        joined: int = 0,
        rows: int = 0,
        most_rows: int = 0,
        cost: float = 1.0,
    ) -> StepReport:
        return StepReport(
            developed=tuple(developed),
            spoiled=self._take_spoiled(),
            previews=previews,
            joined=joined,
            resumed=self._resumed,
            rows=rows,
            most_rows=most_rows,
            cost=cost,
            text_s=self._spent.text_s,
            step_s=self._spent.denoise_s,
            decode_s=self._spent.decode_s,
        )

    def _share_step(self, riders: list[Row], rows: int, seconds: float) -> None:
        """Each picture had as much of the step as it has rows in it."""
        self._spent.denoise_s = seconds
        for row in riders:
            row.usage.denoise_s += seconds * row.picture.rows / rows
            row.usage.row_steps += row.picture.rows

    def _admit(self) -> int:
        """Pictures join, up to the row budget of their shape."""
        joined = 0
        for shape in dict.fromkeys((*self._waiting, *self._paused)):
            batch = self._batches.setdefault(shape, Batch(self.model, shape))
            self._make_way(shape, batch)
            arrived = list(self._arrivals(shape, self.budget.rows(shape) - batch.width))
            self._arrived_done += [row for row in arrived if row.is_done]
            new = [row for row in arrived if not row.is_done]
            if any(row.picture.is_urgent for row in new):
                batch.stepped_at = 0.0  # it is the next shape's turn
            joined += self._join(batch, new)
        self._forget_empty()
        return joined

    def _make_way(self, shape: Shape, batch: Batch) -> None:
        """Where urgent pictures find no room, the last that came pause until there is some."""
        urgent = takewhile(lambda picture: picture.is_urgent, self._waiting.get(shape, ()))
        missing = sum(picture.rows for picture in urgent)
        missing -= self.budget.rows(shape) - batch.width
        others = [row for row in batch.rows if not row.picture.is_urgent]
        giving: set[Hashable] = set()
        for row in sorted(others, key=_joined_at, reverse=True):
            if missing <= 0:
                break
            giving.add(row.picture.key)
            missing -= row.picture.rows
        if giving:
            rows = [*self._paused.get(shape, ()), *batch.leave(giving)]
            self._paused[shape] = deque(sorted(rows, key=_joined_at))

    def _arrivals(self, shape: Shape, room: int) -> Iterator[Row]:
        """Urgent ones first, then those that had paused, then the others as they came."""
        queue = self._waiting.get(shape, deque())
        paused = self._paused.get(shape, deque())
        while queue or paused:
            is_back = bool(paused) and not (queue and queue[0].is_urgent)
            if (paused[0].picture if is_back else queue[0]).rows > room:
                return
            row = paused.popleft() if is_back else self._prepare(queue.popleft())
            if row is not None:
                room -= 0 if row.is_done else row.picture.rows
                yield row

    def _join(self, batch: Batch, new: list[Row]) -> int:
        """How many could join; the device has no room for the others, which fail."""
        if not new:
            return 0
        try:
            batch.join(new)
        except Exception as error:
            if len(new) == 1:
                self._spoil(new[0], blame(self.model, error))
                return 0
            middle = len(new) // 2
            return self._join(batch, new[:middle]) + self._join(batch, new[middle:])
        return len(new)

    def _prepare(self, picture: Picture) -> Row | None:
        admitted_at = time.perf_counter()
        try:
            conditional = self.prompts.encode(picture.prompt)
            unconditional = (
                self.prompts.encode(picture.negative_prompt) if picture.is_guided else None
            )
            row = make_row(self.model, picture, conditional, unconditional, admitted_at)
        except Exception as error:
            self._spoiled.append(Spoiled(picture.key, blame(self.model, error), Usage()))
            return None
        row.usage.text_s = row.joined_at - admitted_at
        self._spent.text_s += row.usage.text_s
        self._resumed += row.usage.row_steps
        return row

    def _spoil(self, row: Row, error: GenerationError) -> None:
        self._spoiled.append(Spoiled(row.picture.key, error, row.usage))

    def _next_shape(self) -> Shape | None:
        """Shapes take turns: the one that has waited longest."""
        return min(self._batches, key=lambda shape: self._batches[shape].stepped_at, default=None)

    def _show(self, batch: Batch, failed: Collection[Hashable]) -> tuple[Preview, ...]:
        """Previews of those pictures that somebody wants to see now. No picture fails for one."""
        due = [i for i, row in enumerate(batch.rows) if row.is_shown]
        due = [i for i in due if batch.rows[i].picture.key not in failed]
        if not due:
            return ()
        rows = [batch.rows[i] for i in due]
        timesteps = [float(row.picture.table.timesteps[row.step - 1]) for row in rows]
        try:
            pixels = self.previewer.show(*batch.last_call(due), timesteps)
        except Exception:  # no memory for it, most likely
            return ()
        return tuple(
            Preview(
                key=row.picture.key,
                index=row.shown_at.index(row.step),
                share=row.step / len(row.picture.table),
                pixels=shown,
            )
            for row, shown in zip(rows, pixels, strict=True)
        )

    def _leave(self, batch: Batch, failures: dict[Hashable, GenerationError]) -> list[Row]:
        """Takes out the pictures that failed and those that are done; the latter come back."""
        done = {row.picture.key for row in batch.rows if row.is_done}
        left = batch.leave(done | failures.keys())
        self._forget_empty()
        for row in left:
            if row.picture.key in failures:
                self._spoil(row, failures[row.picture.key])
        return [row for row in left if row.picture.key not in failures]

    def _retire_arrived(self) -> list[Developed]:
        """One at a time: they may differ in shape."""
        rows, self._arrived_done = self._arrived_done, []
        return [each for row in rows for each in self._retire([row], row.joined_at)]

    def _retire(self, rows: list[Row], denoised_at: float) -> list[Developed]:
        """Decodes what is done together, and sees to it that no NaN leaves as a picture."""
        developed = []
        began = time.perf_counter()
        decoded = self._decode(rows)
        decoded_at = time.perf_counter()
        self._share_decoding(rows, decoded_at - began)
        for row, pixels in decoded:
            if pixels is None:
                self._spoil(row, NotFinite("It became NaN or infinite."))
                continue
            key, warnings = row.picture.key, _warnings(row)
            times = (row.admitted_at, row.joined_at, denoised_at, decoded_at)
            developed.append(Developed(key, pixels, *times, warnings, row.end, row.usage))
        return developed

    def _share_decoding(self, rows: list[Row], seconds: float) -> None:
        self._spent.decode_s += seconds if rows else 0.0
        for row in rows:
            row.usage.decode_s += seconds / len(rows)

    def _decode(self, rows: list[Row]) -> list[tuple[Row, NDArray[np.uint8] | None]]:
        """A fault halves the batch and tries again, down to the one picture that it belongs to."""
        if not rows:
            return []
        if len(rows) > MOST_DECODED:
            return self._decode(rows[:MOST_DECODED]) + self._decode(rows[MOST_DECODED:])
        try:
            pixels = decode(self.model, torch.stack([row.latents[0] for row in rows]))
        except Exception as error:
            if len(rows) == 1:
                self._spoil(rows[0], blame(self.model, error))
                return []
            middle = len(rows) // 2
            return self._decode(rows[:middle]) + self._decode(rows[middle:])
        return list(zip(rows, pixels, strict=True))

    def _forget_empty(self) -> None:
        self._waiting = {shape: queue for shape, queue in self._waiting.items() if queue}
        self._batches = {shape: batch for shape, batch in self._batches.items() if batch.rows}
        self._paused = {shape: rows for shape, rows in self._paused.items() if rows}

    def _take_spoiled(self) -> tuple[Spoiled, ...]:
        taken, self._spoiled = tuple(self._spoiled), []
        return taken

    def _rows(self) -> list[Row]:
        """Of the pictures that have begun."""
        running = (row for batch in self._batches.values() for row in batch.rows)
        return [*running, *self._paused_rows()]

    def _paused_rows(self) -> list[Row]:
        return [row for rows in self._paused.values() for row in rows]

    def _pictures(self) -> Iterator[Picture]:
        """All that are here, waiting or running."""
        yield from (row.picture for row in self._rows())
        yield from (row.picture for row in self._arrived_done)
        for queue in self._waiting.values():
            yield from queue

    def _cost(self, picture: Picture) -> float:
        shape = self.model.shape(picture.width, picture.height)
        return picture.rows * self.budget.cost(shape)


def _joined_at(row: Row) -> float:
    return row.joined_at


def _warnings(row: Row) -> tuple[str, ...]:
    warnings = []
    for field, conditioning in (
        ("prompt", row.conditional),
        ("negative_prompt", row.unconditional),
    ):
        if conditioning is not None and conditioning.cut_off:
            warnings.append(
                f"{field} is longer than the model reads; left out: {conditioning.cut_off}"
            )
    return tuple(warnings)
