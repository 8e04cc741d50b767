"""Sizes of pictures: what a model can draw that is nearest to what was asked for."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from contract.workers import ModelCard


class Size(NamedTuple):
    """In pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def can_draw(model: ModelCard, side: int) -> bool:
    return model.min_side <= side <= model.max_side and side % model.side_multiple == 0


def nearest_size(asked: Size, model: ModelCard) -> Size:
    """The size that the model can draw, scaled into its bounds with the ratio of the sides kept as
    far as its multiples allow. A ratio that its bounds do not hold is clipped to them."""
    scale = _scale(asked, model)
    choices = product(
        _multiples(asked.width * scale, model), _multiples(asked.height * scale, model)
    )

    def distance(size: tuple[int, int]) -> tuple[float, float]:
        width, height = size
        distortion = abs(math.log(width / height * asked.height / asked.width))
        return round(distortion, 9), abs(math.log(width * height / _area(asked, scale)))

    return Size(*min(choices, key=distance))


def _scale(asked: Size, model: ModelCard) -> float:
    """1 where both sides are within the bounds already."""
    smallest, largest = min(asked), max(asked)
    grown = max(1.0, model.min_side / smallest)
    return min(grown, model.max_side / largest)


def _multiples(side: float, model: ModelCard) -> set[int]:
    """The two around it, or the bound that it is beyond."""
    multiple = model.side_multiple
    least = math.ceil(model.min_side / multiple) * multiple
    most = model.max_side // multiple * multiple
    below = math.floor(side / multiple + 1e-9) * multiple
    above = math.ceil(side / multiple - 1e-9) * multiple
    return {min(max(each, least), most) for each in (below, above)}


def _area(asked: Size, scale: float) -> float:
    return asked.width * asked.height * scale * scale
