"""How long a job will take, from few numbers: the pace that its workers told, and what is ahead.

A worker develops pictures together: a step of w rows takes `step_s + w * row_s`, and each picture
has one evaluation of its model in it. So a job that finds room takes its evaluations times a step
of the width that it comes into, whatever the throughput. Only who finds none waits for others: a
step of a full batch does `budget` row-steps of what is ahead, and what is ahead is what waits and
what runs, less what will still run beside the job once it has joined.

Later the batch is as wide as what comes keeps it. With rho row-steps a second that is a width of
x = rho (a + b (own + x)) beside the job, for a step of a + b w seconds, and what is there in excess
of it goes with the time that pictures take. `benchmarks/forecasts.py` compares ways to estimate.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from contract.backlog import Standing
from contract.request import JobRequest
from contract.sizes import Size
from contract.workers import Pace, WorkerCard

JOIN_STEPS = 1.5
"""Steps of a busy worker until a job that finds room takes part: half a one until the queue is
asked, and one in which it is asked."""

COUNTED_ON = 0.7
"""Of what comes: most jobs see less of it than the mean, which bursts raise."""
LEAST_LEFT = 0.1  # of a worker's time, whatever comes: near capacity a mean says nothing


class Work(NamedTuple):
    """What a job asks of a worker."""

    rows: float  # of native size, all of its pictures together
    evaluations: int  # of the model, by each picture
    size: str = ""
    is_urgent: bool = False

    @classmethod
    def of(cls, request: JobRequest, native: Size) -> Self:
        evaluations = request.evaluations
        rows = request.row_steps / evaluations * request.cost(native)
        size = f"{request.width}x{request.height}"
        return cls(rows, evaluations, size, request.is_urgent)

    @property
    def row_steps(self) -> float:
        return self.rows * self.evaluations


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of one model, each as the average of those that told their pace."""

    workers: int
    budget: float  # rows of a full batch
    step_s: float  # of a step, whatever its rows
    row_s: float  # of a step, for each of its rows
    done_per_s: float  # row-steps of a worker, in the last minutes
    aside_s: float  # from a picture's last step to the end of its job
    rows: float  # that a worker told of, of native size
    beside: float  # as told by the worker that a new job most likely finds
    life: float | None  # steps that a row still has before it; None where there are no rows
    sizes: float  # of the pictures in a worker
    share: Mapping[str, float]  # of the workers that hold pictures of a size

    @classmethod
    def of(cls, cards: Sequence[WorkerCard]) -> Self | None:
        """None where no worker told its pace."""
        told = [(card.rows, card.pace) for card in cards if card.pace is not None]
        if not told:
            return None
        paces = [pace for _, pace in told]
        rows = sum(pace.rows for pace in paces)
        sizes = Counter(size for pace in paces for size in pace.sizes)
        return cls(
            workers=len(cards),
            budget=sum(budget for budget, _ in told) / len(told),
            step_s=sum(pace.step_s for pace in paces) / len(told),
            row_s=sum(pace.row_s for pace in paces) / len(told),
            done_per_s=sum(pace.done_per_s for pace in paces) / len(told),
            aside_s=sum(pace.aside_s for pace in paces) / len(told),
            rows=rows / len(told),
            beside=_beside(told),
            life=sum(pace.row_steps for pace in paces) / rows if rows > 0 else None,
            sizes=sizes.total() / len(told),
            share={size: count / len(told) for size, count in sizes.items()},
        )

    def seconds(self, work: Work, standing: Standing) -> float:
        """From now until the job is done, which waits at this standing or has just come."""
        rows, evaluations, size, is_urgent = work
        budget, workers = self.budget, self.workers
        own = min(rows, budget)
        step_s = self.step_s * (self.sizes + 1.0 - self.share.get(size, 0.0))  # sizes take turns
        life = self.life if self.life is not None else evaluations / 2
        known = standing.held_rows
        held = (standing.held * rows if known is None else known) / workers

        waiting = max(0.0, (standing.work or 0.0) - rows * evaluations) / workers
        running = 0.0 if is_urgent else held * life  # which makes way
        missing = max(0.0, waiting + running - (budget - own) * life)
        seconds = missing / budget * (step_s + budget * self.row_s) + self.aside_s

        beside = waiting / max(2 * life, 1.0)
        if standing.held >= workers:  # else one may be idle, which is quicker than all others
            seconds += JOIN_STEPS * (step_s + min(held, budget) * self.row_s)
            beside += max(0.0, self.beside + held - self.rows)
        beside = budget - own if missing > 0 else min(beside, budget - own)
        steps = evaluations * rows / own  # where all fit in at once, its own
        beside -= self._leaving(own, beside, life, steps, step_s)
        return seconds + steps * (step_s + (own + beside) * self.row_s)

    def _leaving(
        self, own: float, beside: float, life: float, steps: float, step_s: float
    ) -> float:
        """How many of the rows beside a job are gone, on average over its steps."""
        coming = COUNTED_ON * self.done_per_s
        left = max(LEAST_LEFT, 1.0 - coming * self.row_s)
        excess = beside - coming * (step_s + own * self.row_s) / left
        if excess <= 0.0:
            return 0.0
        pace = max(2.0 * life, 1.0) / left  # steps in which all but 1/e of it goes
        return excess * (1.0 - pace / steps * (1.0 - math.exp(-steps / pace)))


def _beside(told: Sequence[tuple[int, Pace]]) -> float:
    """Workers ask for jobs between two steps: who has fewer rows does so more often."""
    open_to_more = [pace for budget, pace in told if pace.rows < budget]
    if not open_to_more:
        return sum(pace.rows for _, pace in told) / len(told)
    weights = [1.0 / max(pace.round_s(pace.rows), 1e-9) for pace in open_to_more]
    rows = sum(pace.rows * weight for pace, weight in zip(open_to_more, weights, strict=True))
    return rows / sum(weights)
