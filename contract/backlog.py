"""How much work waits for a model, as far as that can be known cheaply.

Work is counted in row-steps: a guided picture of 30 steps is 60. The work of the jobs that were
accepted last is written down with them, newest first. Since jobs are taken in the order in which
they came, the newest `depth` of these are the jobs that wait; where more wait than are written
down, each counts as the average. It is an estimate: what was cancelled or put back into the queue
makes it wrong by as much, samplers of two evaluations a step count as one, and sizes are left to
the workers' speeds, which are measured on what is really asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

from redis.client import Pipeline

KEPT = 100  # jobs
KEPT_S = 24 * 3600


class Standing(NamedTuple):
    """Where a job stands in its queue."""

    position: int  # 1 is next
    work: float | None  # row-steps until it is done, its own included; None where unknown


def note(pipeline: Pipeline, queue_name: str, work: int) -> None:
    """Writes down that a job of `work` row-steps is accepted; part of the transaction."""
    key = _key(queue_name)
    pipeline.lpush(key, work)
    pipeline.ltrim(key, 0, KEPT - 1)
    pipeline.expire(key, KEPT_S)


def ask(pipeline: Pipeline, queue_name: str) -> None:
    """Queues a command whose answer `recent_work` reads."""
    pipeline.lrange(_key(queue_name), 0, KEPT - 1)


def recent_work(answer: Sequence[bytes]) -> list[int]:
    """Row-steps of the jobs accepted last, newest first."""
    return [int(work) for work in answer]


def work_until(position: int, depth: int, recent: Sequence[int]) -> float | None:
    """Row-steps of the jobs that wait, from the first to the one at `position`; 1 is the first."""
    if position == 0:
        return 0.0
    if not recent:
        return None
    if depth <= len(recent):
        return float(sum(recent[depth - position : depth]))
    return position * sum(recent) / len(recent)


def _key(queue_name: str) -> str:
    return f"darkroom:work:{queue_name}"
