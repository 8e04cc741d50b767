"""How fast this worker is, from the steps that it makes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Self

from contract.sizes import Size
from contract.timeline import MOMENTS, Timeline
from contract.workers import Pace
from worker.engine.picture import StepReport

if TYPE_CHECKING:
    from worker.engine.engine import Engine

KEPT = 0.98  # of what is remembered of the speed, at each step: about the latest fifty count
KEPT_STEPS = 0.998  # of how long steps take by their rows: only different ones tell that
KEPT_ENDS = 0.95  # of what follows a picture's last step, at each job

LATELY_S = 60.0  # of what was done, idle or not: more than that ago counts less than 1/e

DENOISED = MOMENTS.index("denoised")

GUESSED_ROWS = 4.0
"""Until steps of different widths have come, a step is thought to cost as much as so many rows."""
GUESS_WEIGHT = 4.0  # of the guess, in steps one row from the average


class Holding(NamedTuple):
    """What is in the engine; rows are of the native size."""

    rows: float
    row_steps: float  # that are left
    sizes: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: Engine) -> Self:
        sizes = sorted(str(Size(*size)) for size in engine.sizes)
        return cls(engine.load, engine.row_steps_left, tuple(sizes))


class Rate:
    """Of what is done in a second, all time counted; the latest counts most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._at = clock()
        self._done = 0.0

    def add(self, done: float) -> None:
        now = self._clock()
        self._done = self._done * math.exp((self._at - now) / LATELY_S) + done
        self._at = now

    @property
    def per_s(self) -> float:
        now = self._clock()
        seconds = -LATELY_S * math.expm1((self._began - now) / LATELY_S)
        return self._done * math.exp((self._at - now) / LATELY_S) / max(seconds, 1.0)


class StepLine:
    """The straight line through the seconds of steps by their rows."""

    def __init__(self) -> None:
        self._n = 0.0
        self._rows = self._seconds = 0.0  # on average
        self._spread = self._joint = 0.0  # of rows, and of rows with seconds, around the averages

    def add(self, rows: float, seconds: float) -> None:
        """West's update of weighted moments (1979)."""
        self._n = KEPT_STEPS * self._n + 1.0
        off = rows - self._rows
        self._rows += off / self._n
        self._seconds += (seconds - self._seconds) / self._n
        self._spread = KEPT_STEPS * self._spread + off * (rows - self._rows)
        self._joint = KEPT_STEPS * self._joint + off * (seconds - self._seconds)

    @property
    def per_row_s(self) -> float:
        guess = self._seconds / (self._rows + GUESSED_ROWS)
        slope = (self._joint + GUESS_WEIGHT * guess) / (self._spread + GUESS_WEIGHT)
        return min(max(slope, 0.0), self._seconds / self._rows)

    @property
    def per_step_s(self) -> float:
        return max(0.0, self._seconds - self.per_row_s * self._rows)


class Speed:
    """Moving averages. One thread tells it of steps, others of ends; any may read it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: in seconds.
        """
        self._rows = 0.0
        self._seconds = 0.0
        self._rate = Rate(clock)
        self._steps = StepLine()
        self._aside_s = 0.0
        self._ends = 0.0
        self.row_steps_per_s: float | None = None
        """Rows of U-Net calls in a second, of the native size, all work included; None before the
        first step."""
        self.holding = Holding(0.0, 0.0)

    def stepped(self, report: StepReport) -> None:
        if report.rows == 0 or report.busy_s <= 0.0:  # a clock that stood still tells nothing
            return
        rows = report.rows * report.cost
        self._rows = KEPT * self._rows + rows
        self._seconds = KEPT * self._seconds + report.busy_s
        self.row_steps_per_s = round(self._rows / self._seconds, 2)
        self._steps.add(rows, report.busy_s)
        self._rate.add(rows)

    def ended(self, timeline: Timeline) -> None:
        """A job has: how long that took after its last step."""
        after_s = timeline.times[-1] - timeline.times[DENOISED]
        self._ends = KEPT_ENDS * self._ends + 1.0
        self._aside_s += (after_s - self._aside_s) / self._ends

    @property
    def pace(self) -> Pace | None:
        """With what the engine holds; None before the first step."""
        if self.row_steps_per_s is None:
            return None
        return Pace(
            step_s=self._steps.per_step_s,
            row_s=self._steps.per_row_s,
            aside_s=self._aside_s,
            done_per_s=self._rate.per_s,
            **self.holding._asdict(),
        )
