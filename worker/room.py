"""How much more work a worker takes."""

from collections import Counter

from worker.engine.budget import RowBudget
from worker.engine.model import Shape

MOST_SHAPES = 4
"""Sizes that take turns; with more of them each would hardly get on."""


class Room:
    """The rows that are spoken for, by shape: what does not fit is left to other workers."""

    def __init__(self, budget: RowBudget):
        self._budget = budget
        self._rows: Counter[Shape] = Counter()

    def fill(self, shape: Shape, rows: int) -> None:
        """A job that still has `rows` rows of `shape` to come is here."""
        self._rows[shape] += rows

    def fits(self, shape: Shape, rows: int) -> bool:
        """Whether a picture of `rows` rows could join at once."""
        if shape not in self._rows:
            return len(self._rows) < MOST_SHAPES
        return self._rows[shape] + rows <= self._budget.rows(shape)
