"""How the device's memory is shared out: rows of U-Net calls, the decoder, and what is kept.

Of `limit`, the model itself takes `needs.fixed`. The decoder has a part of its own, since it may
work beside a U-Net call; the rest is for that call and for what pictures keep between steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.engine.model import Shape

MOST_SHAPES = 4
"""Sizes that take turns; with more of them each would hardly get on."""

FILLS = 2 * MOST_SHAPES
"""How often the pictures may be here that fill a U-Net call: those of one size run while those of
others wait for their turn, and as many again may have made way for urgent ones."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a call takes at its peak: some in any case, and some for each cell of latent
    space in each of its rows."""

    fixed: float
    per_cell: float

    def bytes(self, cells: float) -> float:
        return self.fixed + self.per_cell * cells


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model takes of its device's memory, in bytes."""

    fixed: int  # weights, workspaces, the prompts that are remembered
    unet: Need
    decoder: Need
    kept_per_cell: float  # of a row between steps: latents, outputs
    kept_per_row: float  # likewise: embeddings

    def kept(self, cells: int) -> float:
        return self.kept_per_row + self.kept_per_cell * cells


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    needs: Needs
    limit: int  # bytes, those of the model among them
    decoding: float  # bytes that the decoder may take
    calls: int  # U-Net calls whose memory is held at a time
    side: int  # of the largest square picture that there is room for, in cells

    def rows(self, shape: Shape) -> int:
        """Most rows of a U-Net call; 0 where not one fits."""
        cells = shape[0] * shape[1]
        needs = self.needs
        room = self.limit - needs.fixed - self.decoding - self.calls * needs.unet.fixed
        per_row = self.calls * needs.unet.per_cell * cells + FILLS * needs.kept(cells)
        return max(0, int(room / per_row))

    def pictures(self, shape: Shape) -> int:
        """Most pictures of a decoder's call; 0 where one is decoded in tiles."""
        cells = shape[0] * shape[1]
        return int((self.decoding - self.needs.decoder.fixed) / self.needs.decoder.per_cell / cells)


def plan_memory(needs: Needs, limit: int, native: Shape, side: int, calls: int = 1) -> MemoryPlan:
    """The plan for pictures of up to `side` cells, or as many as fit.

    Larger pictures are decoded in tiles of the native size only where nothing else fits.

    Raises:
        ValueError: there is no room for one guided picture of the native size; the text says how
            much it takes.
    """
    tile = max(native)
    for largest in range(max(side, tile), tile - 1, -1):
        for decoded in (largest, tile):
            decoding = needs.decoder.bytes(decoded * decoded)
            plan = MemoryPlan(needs, limit, decoding, calls, largest)
            if plan.rows((largest, largest)) >= 2:
                return plan
    raise ValueError(f"{bytes_of_one(needs, native, calls) / 1e6:,.0f} MB")


def bytes_of_one(needs: Needs, shape: Shape, calls: int = 1) -> float:
    """What the model and one guided picture of a size take together."""
    cells = shape[0] * shape[1]
    call = calls * needs.unet.bytes(2 * cells) + FILLS * 2 * needs.kept(cells)
    return needs.fixed + call + needs.decoder.bytes(cells)
