"""How long a job will take, from few numbers: the pace that its workers told, and what is ahead.

A worker develops pictures together: a step of w rows takes `step_s + w * row_s`, and each picture
has one evaluation of its model in it. So a job that finds room takes its evaluations times a step
of the width that it comes into, whatever the throughput. Only who finds none waits for others: a
step of a full batch does `budget` row-steps of what is ahead, and what is ahead is what waits and
what runs, less what will still run beside the job once it has joined.

The width is taken to stay as it is. A return to the mean of late was tried and was no better: near
capacity the mean itself is hardly known. `benchmarks/forecasts.py` compares.
"""

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


class Work(NamedTuple):
    """What a job asks of a worker."""

    rows: float  # of native size, all of its pictures together
    evaluations: int  # of the model, by each picture
    size: str = ""
    is_urgent: bool = False

    @classmethod
    def of(cls, request: JobRequest, native: Size) -> Self:
        rows = request.rows * request.cost(native)
        size = str(Size(request.width, request.height))
        return cls(rows, request.evaluations, size, request.is_urgent)

    @property
    def row_steps(self) -> float:
        return self.rows * self.evaluations


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of one model, each as the average of those that told their pace."""

    workers: int
    budget: float  # rows of a full batch
    pace: Pace
    beside: float  # rows in the worker that a new job most likely finds
    sizes: float  # of the pictures in a worker
    share: Mapping[str, float]  # of the workers that hold pictures of a size

    @classmethod
    def of(cls, cards: Sequence[WorkerCard]) -> Self | None:
        """None where no worker told its pace."""
        told = [(card.rows, card.pace) for card in cards if card.pace is not None]
        if not told:
            return None
        sizes = Counter(size for _, pace in told for size in pace.sizes)
        return cls(
            workers=len(cards),
            budget=_mean([budget for budget, _ in told]),
            pace=_average([pace for _, pace in told]),
            beside=_beside(told),
            sizes=sizes.total() / len(told),
            share={size: count / len(told) for size, count in sizes.items()},
        )

    def seconds(self, work: Work, standing: Standing) -> float:
        """From now until the job is done, which waits at this standing or has just come."""
        pace, budget = self.pace, self.budget
        sizes = self.sizes + 1.0 - self.share.get(work.size, 0.0)
        full_s = pace.round_s(budget, sizes)
        own = min(work.rows, budget)
        held = self._held(work, standing)
        life = pace.row_steps / pace.rows if pace.rows > 0 else work.evaluations / 2

        waiting = max(0.0, (standing.work or 0.0) - work.row_steps) / self.workers
        running = 0.0 if work.is_urgent else held * life  # which makes way
        missing = max(0.0, waiting + running - (budget - own) * life)
        wait_s = missing / budget * full_s

        join_s, beside = 0.0, waiting / max(2 * life, 1.0)
        if standing.held >= self.workers:  # else one may be idle, which is quicker than all others
            join_s = JOIN_STEPS * pace.round_s(min(held, budget), sizes)
            beside += max(0.0, self.beside + held - pace.rows)
        width = budget if missing > 0 else min(own + beside, budget)
        evaluations = work.evaluations * work.rows / own  # where all fit in at once, its own
        return wait_s + join_s + evaluations * pace.round_s(width, sizes) + pace.aside_s

    def _held(self, work: Work, standing: Standing) -> float:
        """Rows in each worker now: Redis knows them better than what was told before."""
        rows = standing.held_rows
        return (standing.held * work.rows if rows is None else rows) / self.workers


def _average(paces: Sequence[Pace]) -> Pace:
    return Pace(
        step_s=_mean([pace.step_s for pace in paces]),
        row_s=_mean([pace.row_s for pace in paces]),
        aside_s=_mean([pace.aside_s for pace in paces]),
        rows=_mean([pace.rows for pace in paces]),
        row_steps=_mean([pace.row_steps for pace in paces]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _beside(told: Sequence[tuple[int, Pace]]) -> float:
    """Workers ask for jobs between two steps: who has fewer rows does so more often."""
    open_to_more = [pace for budget, pace in told if pace.rows < budget]
    if not open_to_more:
        return _mean([pace.rows for _, pace in told])
    weights = [1.0 / max(pace.round_s(pace.rows), 1e-9) for pace in open_to_more]
    rows = sum(pace.rows * weight for pace, weight in zip(open_to_more, weights, strict=True))
    return rows / sum(weights)
