"""How much more work a worker takes."""

from collections import Counter

from worker.engine.budget import RowBudget
from worker.engine.model import Shape

MOST_SHAPES = 4
"""Sizes that take turns; with more of them each would hardly get on."""

LOOKAHEAD = 2
"""Jobs that may wait here for their turn. With none, a full batch of one size would hold up the
pictures of another; with many, they would wait here while another worker has nothing to do."""


class Room:
    """Counts the jobs that fit into the batches, and those that have to wait for it."""

    def __init__(self, budget: RowBudget):
        self._budget = budget
        self._rows: Counter[Shape] = Counter()
        self._waiting = 0

    @property
    def is_open(self) -> bool:
        """Whether one more job may come."""
        return self._waiting < LOOKAHEAD

    def fill(self, shape: Shape, rows: int) -> None:
        """A job with `rows` rows of `shape` is here."""
        self._rows[shape] += rows
        if self._rows[shape] > self._budget.rows(shape) or len(self._rows) > MOST_SHAPES:
            self._waiting += 1
