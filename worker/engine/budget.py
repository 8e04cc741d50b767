"""How many rows go into one U-Net call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.engine.model import Shape


@dataclass(frozen=True, slots=True)
class RowBudget:
    """The budget at the model's native shape; larger pictures get fewer rows, smaller ones more."""

    native_rows: int
    native_shape: Shape

    def rows(self, shape: Shape) -> int:
        """At least 2, so that any one guided picture fits."""
        return max(2, int(self.native_rows / self.cost(shape)))

    def cost(self, shape: Shape) -> float:
        """What one row of `shape` weighs, in rows of the native shape."""
        native_height, native_width = self.native_shape
        return shape[0] * shape[1] / (native_height * native_width)
