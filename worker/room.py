"""How much more work a worker takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from worker.engine.memory_plan import MOST_SHAPES
from worker.engine.picture import Beside

if TYPE_CHECKING:
    from worker.engine.budget import RowBudget
    from worker.engine.model import Shape


class Room:
    """The rows that are spoken for, by shape: what does not fit is left to other workers. Urgent
    jobs find it as if they were the only ones, since others make way for them; and those that will
    be gone before there is any find room beside it."""

    def __init__(self, budget: RowBudget, beside: Mapping[Shape, Beside] | None = None):
        """
        Args:
            beside: what rides beside the budget already.
        """
        self._budget = budget
        self._beside = beside or {}
        self._rows: Counter[Shape] = Counter()
        self._urgent: Counter[Shape] = Counter()

    def fill(self, shape: Shape, rows: int, is_urgent: bool = False) -> None:
        """A job that still has `rows` rows of `shape` to come is here."""
        self._rows[shape] += rows
        if is_urgent:
            self._urgent[shape] += rows

    def fits(
        self, shape: Shape, rows: int, is_urgent: bool = False, evaluations: int | None = None
    ) -> bool:
        """Whether a picture of `rows` rows could join at once.

        Args:
            evaluations: of the model that it needs, where it may ride beside the budget.
        """
        taken = self._urgent if is_urgent else self._rows
        if shape not in taken:
            return len(taken) < MOST_SHAPES
        most, beside = self._budget.rows(shape), self._beside.get(shape, Beside())
        if is_urgent:
            return taken[shape] + rows <= most
        if taken[shape] - beside.rows + rows <= most:
            return True
        passes = evaluations is not None and evaluations <= beside.free_in
        return passes and taken[shape] + rows <= most + self._budget.margin(shape)
