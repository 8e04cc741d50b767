"""How many rows go into one U-Net call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.engine.memory_plan import MemoryPlan
    from worker.engine.model import Shape


@dataclass(frozen=True, slots=True)
class RowBudget:
    """The budget at the model's native shape; larger pictures get fewer rows, smaller ones more,
    and none more than memory has room for."""

    native_rows: int
    native_shape: Shape
    memory: MemoryPlan | None = None  # where it is None, there is enough
    is_strict: bool = False  # whether it is the most, and nobody rides beside it

    def rows(self, shape: Shape) -> int:
        """At least 2, so that any one guided picture fits."""
        rows = int(self.native_rows / self.cost(shape))
        if self.memory is not None:
            rows = min(rows, self.memory.rows(shape))
        return max(2, rows)

    def margin(self, shape: Shape) -> int:
        """Rows beside those of `rows`, for pictures that will be gone before any of these is free:
        half as many, where memory has room for them."""
        if self.is_strict:
            return 0
        rows = self.rows(shape)
        most = self.memory.rows(shape) if self.memory is not None else 2 * rows
        return max(0, min(rows // 2, most - rows))

    def cost(self, shape: Shape) -> float:
        """What one row of `shape` weighs, in rows of the native shape."""
        native_height, native_width = self.native_shape
        return shape[0] * shape[1] / (native_height * native_width)

    def is_tiled(self, shape: Shape) -> bool:
        """Whether its pictures are decoded in tiles, for want of memory, which changes them."""
        return self.memory is not None and self.memory.pictures(shape) == 0
