"""How much more work a worker takes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from worker.engine.memory_plan import MOST_SHAPES

if TYPE_CHECKING:
    from worker.engine.budget import RowBudget
    from worker.engine.model import Shape


class Room:
    """The rows that are spoken for, by shape: what does not fit is left to other workers. Urgent
    jobs find it as if they were the only ones, since others make way for them."""

    def __init__(self, budget: RowBudget):
        self._budget = budget
        self._rows: Counter[Shape] = Counter()
        self._urgent: Counter[Shape] = Counter()

    def fill(self, shape: Shape, rows: int, is_urgent: bool = False) -> None:
        """A job that still has `rows` rows of `shape` to come is here."""
        self._rows[shape] += rows
        if is_urgent:
            self._urgent[shape] += rows

    def fits(self, shape: Shape, rows: int, is_urgent: bool = False) -> bool:
        """Whether a picture of `rows` rows could join at once."""
        taken = self._urgent if is_urgent else self._rows
        if shape not in taken:
            return len(taken) < MOST_SHAPES
        return taken[shape] + rows <= self._budget.rows(shape)
