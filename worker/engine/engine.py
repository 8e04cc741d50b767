"""The loop: pictures are admitted, stepped together, and retired as soon as each is done."""

import time
from collections import deque
from collections.abc import Collection, Hashable, Iterator, Sequence
from functools import cached_property
from itertools import takewhile

from contract.errors import GenerationError
from worker.engine.batch import Batch, Failures, Row, checkpoints_of, make_row
from worker.engine.blame import blame
from worker.engine.budget import RowBudget
from worker.engine.checkpoint import Checkpoint, fingerprint_of, read_checkpoint
from worker.engine.conditioning import PromptEncoder
from worker.engine.model import Model, Shape
from worker.engine.outcomes import Outcomes
from worker.engine.picture import Beside, Picture, Preview, StepReport
from worker.engine.preview import Previewer
from worker.engine.sampler import SamplerTable
from worker.engine.stream import Stream, stream_of
from worker.engine.turn import Turn
from worker.engine.usage import Usage


class Engine:
    """Develops pictures of any samplers, steps, guidance and sizes in shared U-Net calls.

    A GPU is asked for a step while it is at the one before, so that it never waits for the host:
    what a step took is known one turn later, and a picture is decoded beside the next steps. On a
    CPU all is done when it is asked for.

    Not for use by several threads at once.
    """

    def __init__(
        self,
        model: Model,
        budget: RowBudget,
        prompt_cache: int = 512,
        stream: Stream | None = None,
    ):
        self.model = model
        self.budget = budget
        self._stream = stream or stream_of(model.device)
        self._outcomes = Outcomes(model, self._stream)
        self.prompts = PromptEncoder(model, prompt_cache)
        self._waiting: dict[Shape, deque[Picture]] = {}
        self._batches: dict[Shape, Batch] = {}
        self._paused: dict[Shape, deque[Row]] = {}
        """Those that have made way for urgent ones, the longest here first."""
        self._arrived_done: list[Row] = []
        """Resumed after their last step; they leave in the step in which they come."""
        self._resumed = 0
        """Row-steps that checkpoints saved the pictures of the present turn."""

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
        running = self._waiting or self._batches or self._paused
        return not running and self._outcomes.is_empty

    @property
    def load(self) -> float:
        """The rows of all pictures here, waiting or running, in rows of the native shape."""
        waiting = (picture for queue in self._waiting.values() for picture in queue)
        ahead = [(picture, picture.rows) for picture in waiting]
        ahead += [(row.picture, row.most_rows) for row in self._rows()]
        return sum(rows * self._cost(picture) for picture, rows in ahead)

    @property
    def row_steps_left(self) -> float:
        """What all pictures here still need, in rows of the native shape by model evaluations."""
        waiting = (
            (each, each.start.step if each.start else 0)
            for queue in self._waiting.values()
            for each in queue
        )
        begun = ((row.picture, row.step) for row in self._rows())
        return sum(
            self._cost(picture) * (picture.row_steps(len(picture.table)) - picture.row_steps(step))
            for picture, step in (*waiting, *begun)
        )

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
        device comes back, once it is done with what they were in."""
        gone = set(keys)
        had = self._outcomes.drop(gone)
        running = [row for row in self._rows() if row.picture.key in gone]
        if running:
            self._outcomes.settle()
        for row in running:
            had.add(row.usage)
        for shape, queue in self._waiting.items():
            self._waiting[shape] = deque(picture for picture in queue if picture.key not in gone)
        for shape, rows in self._paused.items():
            self._paused[shape] = deque(row for row in rows if row.picture.key not in gone)
        for batch in self._batches.values():
            batch.leave(gone)
        self._forget_empty()
        return had

    def rows_ahead(self) -> dict[Hashable, int]:
        """The most rows that each picture brings to a step to come, of those that have begun."""
        return {row.picture.key: row.most_rows for row in self._rows()}

    def beside(self) -> dict[Shape, Beside]:
        """What rides beside the row budget, by size."""
        return {shape: batch.beside for shape, batch in self._batches.items()}

    def progress(self) -> dict[Hashable, float]:
        """How far each picture is that has begun, from 0 to 1."""
        begun = (*self._rows(), *self._outcomes.rows)
        return {row.picture.key: row.step / len(row.picture.table) for row in begun}

    def checkpoints(self) -> dict[Hashable, Checkpoint]:
        """Where each picture is that has begun, to be resumed here or elsewhere."""
        running = {
            key: checkpoint
            for batch in self._batches.values()
            for key, checkpoint in batch.checkpoints(self._stream).items()
        }
        paused = checkpoints_of(self._paused_rows(), self._stream)
        return running | paused | self._outcomes.ends

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
        turn, self._resumed = Turn(self._stream.mark()), 0
        joined = self._admit(turn)
        done, previews = self._step(turn)
        self._outcomes.decode(done, turn)
        return self._report(turn, joined, previews, done)

    def _report(
        self, turn: Turn, joined: int, previews: tuple[Preview, ...], done: Sequence[Row]
    ) -> StepReport:
        over = self._outcomes.next_over(turn)
        developed, spoiled, decode_s = self._outcomes.take()
        return StepReport(
            developed=developed,
            spoiled=spoiled,
            previews=previews,
            denoised=tuple(row.picture.key for row in done),
            joined=joined,
            resumed=self._resumed,
            rows=over.rows,
            most_rows=over.most_rows,
            cost=over.cost,
            text_s=over.text_s,
            step_s=over.step_s,
            decode_s=decode_s,
            decodes_beside=self._stream.lead > 0,
        )

    def _admit(self, turn: Turn) -> int:
        """Pictures join, up to the row budget of their shape."""
        joined = 0
        for shape in dict.fromkeys((*self._waiting, *self._paused)):
            batch = self._batches.setdefault(shape, Batch(self.model, shape))
            self._make_way(shape, batch)
            room = self.budget.rows(shape) - batch.most_rows
            arrived = [*self._arrivals(shape, room, turn), *self._passing(shape, batch, turn)]
            self._arrived_done += [row for row in arrived if row.is_done]
            new = [row for row in arrived if not row.is_done]
            if any(row.picture.is_urgent for row in new):
                batch.stepped_at = 0.0  # it is the next shape's turn
            joined += self._join(batch, new, turn)
        self._forget_empty()
        return joined

    def _make_way(self, shape: Shape, batch: Batch) -> None:
        """Where urgent pictures find no room, the last that came pause until there is some."""
        urgent = takewhile(lambda picture: picture.is_urgent, self._waiting.get(shape, ()))
        missing = sum(picture.rows for picture in urgent)
        missing -= self.budget.rows(shape) - batch.most_rows
        others = [row for row in batch.rows if not (row.picture.is_urgent or row.is_beside)]
        giving: set[Hashable] = set()
        for row in sorted(others, key=_joined_at, reverse=True):
            if missing <= 0:
                break
            giving.add(row.picture.key)
            missing -= row.most_rows
        if giving:
            rows = [*self._paused.get(shape, ()), *batch.leave(giving)]
            self._paused[shape] = deque(sorted(rows, key=_joined_at))

    def _arrivals(self, shape: Shape, room: int, turn: Turn) -> Iterator[Row]:
        """Urgent ones first, then those that had paused, then the others as they came."""
        queue = self._waiting.get(shape, deque())
        paused = self._paused.get(shape, deque())
        while queue or paused:
            is_back = bool(paused) and not (queue and queue[0].is_urgent)
            if (paused[0].most_rows if is_back else queue[0].rows) > room:
                return
            row = paused.popleft() if is_back else self._prepare(queue.popleft(), turn)
            if row is not None:
                room -= 0 if row.is_done else row.most_rows
                yield row

    def _passing(self, shape: Shape, batch: Batch, turn: Turn) -> Iterator[Row]:
        """Of those for whom there is no room, who will be gone before there is any: such pictures
        ride beside the budget, so that few steps need not wait for many."""
        room = self.budget.margin(shape) - batch.beside.rows
        staying: deque[Picture] = deque()
        for picture in self._waiting.get(shape, ()):
            if picture.left > batch.beside.free_in or picture.rows > room:
                staying.append(picture)
                continue
            row = self._prepare(picture, turn)
            if row is not None:
                row.is_beside = True
                room -= picture.rows
                yield row
        self._waiting[shape] = staying

    def _join(self, batch: Batch, new: list[Row], turn: Turn) -> int:
        """How many could join; the device has no room for the others, which fail."""
        if not new:
            return 0
        try:
            batch.join(new)
        except Exception as error:
            if len(new) == 1:
                self._spoil(new[0], blame(self.model, error), turn)
                return 0
            middle = len(new) // 2
            return self._join(batch, new[:middle], turn) + self._join(batch, new[middle:], turn)
        return len(new)

    def _prepare(self, picture: Picture, turn: Turn) -> Row | None:
        began, admitted_at = self._stream.mark(), time.perf_counter()
        try:
            conditional = self.prompts.encode(picture.prompt)
            unconditional = (
                self.prompts.encode(picture.negative_prompt) if picture.is_guided else None
            )
            row = make_row(self.model, picture, conditional, unconditional, admitted_at)
        except Exception as error:
            self._outcomes.spoil(picture.key, blame(self.model, error), Usage(), turn)
            return None
        turn.texts.append((row, began, self._stream.mark()))
        self._resumed += row.usage.row_steps
        return row

    def _spoil(self, row: Row, error: GenerationError, turn: Turn) -> None:
        self._outcomes.spoil(row.picture.key, error, row.usage, turn)

    def _step(self, turn: Turn) -> tuple[list[Row], tuple[Preview, ...]]:
        """One U-Net call; the pictures that are done come back."""
        done, self._arrived_done = self._arrived_done, []
        previews: tuple[Preview, ...] = ()
        shape = self._next_shape()
        if shape is not None:
            batch = self._batches[shape]
            turn.riders = [(row, row.rows) for row in batch.rows]
            turn.rows = batch.width
            turn.most_rows = max(batch.width, self.budget.rows(shape))
            turn.cost = self.budget.cost(shape)
            failures = batch.step()
            previews = self._show(batch, failures.keys())
            done += self._leave(batch, failures, turn)
        turn.ended = self._stream.mark()
        return done, previews

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
            shown = self.previewer.show(*batch.last_call(due), timesteps)
            pixels = [self._stream.download(each) for each in shown]
            copied = self._stream.mark()
        except Exception:  # no memory for it, most likely
            return ()
        return tuple(
            Preview(
                key=row.picture.key,
                index=row.shown_at.index(row.step),
                share=row.step / len(row.picture.table),
                pixels=shown,
                copied=copied,
            )
            for row, shown in zip(rows, pixels, strict=True)
        )

    def _leave(self, batch: Batch, failures: Failures, turn: Turn) -> list[Row]:
        """Takes out the pictures that failed and those that are done; the latter come back."""
        done = {row.picture.key for row in batch.rows if row.is_done}
        left = batch.leave(done | failures.keys())
        self._forget_empty()
        for row in left:
            if row.picture.key in failures:
                self._spoil(row, failures[row.picture.key], turn)
        return [row for row in left if row.picture.key not in failures]

    def _forget_empty(self) -> None:
        self._waiting = {shape: queue for shape, queue in self._waiting.items() if queue}
        self._batches = {shape: batch for shape, batch in self._batches.items() if batch.rows}
        self._paused = {shape: rows for shape, rows in self._paused.items() if rows}

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
        yield from (row.picture for row in self._outcomes.rows)
        for queue in self._waiting.values():
            yield from queue

    def _cost(self, picture: Picture) -> float:
        """Of a row of it, in rows of the native shape."""
        return self.budget.cost(self.model.shape(picture.width, picture.height))


def _joined_at(row: Row) -> float:
    return row.joined_at
