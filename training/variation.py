"""The same thing in another colour, or several times: so that words can be put together.

A set of emoji shows each thing once, in its own colour. A model that learns from them alone cannot
know what "blue" does to a cat. So some pictures are recoloured by turning their hues, some are
repeated, and their texts say so.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.emoji import Concept
from training.recipe import TextRecipe, VariationRecipe
from training.texts import Shown, without_colour

Colours = list[list[str]]

HUE_BINS = 36


def can_repeat(concept: Concept, recipe: VariationRecipe) -> bool:
    return concept.group in recipe.groups and concept.subgroup not in recipe.left_out_subgroups


def colours_of(concepts: Sequence[Concept], texts: TextRecipe, recipe: VariationRecipe) -> Colours:
    """[concepts]: the colours in which each may be drawn, but for those of another concept.

    A red apple may become a blue one, but not a green one, which the sets draw themselves.
    """
    labels = {concept.label for concept in concepts}
    return [
        [
            colour
            for colour, _ in recipe.colours
            if can_repeat(concept, recipe)
            and f"{colour} {without_colour(concept.label, texts)}" not in labels
        ]
        for concept in concepts
    ]


def recolour(pictures: Tensor, hues: Tensor) -> Tensor:
    """Turns all hues of a picture so that its main one becomes the given one.

    Args:
        pictures: [rows, 3, height, width] from -1 to 1.
        hues: [rows], in turns: red is 0, green a third.
    """
    hue, saturation, value = to_hsv((pictures + 1) / 2)
    turn = hues - main_hue(hue, saturation, value)
    turned = (hue + turn[:, None, None]).remainder(1.0)
    return to_rgb(turned, saturation, value) * 2 - 1


def is_colourful(pictures: Tensor, recipe: VariationRecipe) -> Tensor:
    """[rows] bool: whether enough of what is drawn has a clear colour."""
    _, saturation, value = to_hsv((pictures + 1) / 2)
    drawn = (saturation > 0.05) | (value < 0.95)
    clear = (saturation > 0.25) & (value > 0.25)
    share = clear.sum(dim=(1, 2)) / drawn.sum(dim=(1, 2)).clamp_min(1)
    return share >= recipe.least_colourful


def repeat(pictures: Tensor, number: int) -> Tensor:
    """Two beside each other, or three in a triangle, at a bit less than half the size.

    Args:
        pictures: [rows, 3, size, size] from -1 to 1, on white.
        number: 2 or 3.
    """
    size = pictures.shape[-1]
    half, quarter = size // 2, size // 4
    small = F.interpolate(pictures, size=(half, half), mode="bilinear", antialias=True)
    places = {2: ((quarter, 0), (quarter, half)), 3: ((0, quarter), (half, 0), (half, half))}
    drawn = torch.ones_like(pictures)
    for top, left in places[number]:
        drawn[:, :, top : top + half, left : left + half] = small
    return drawn


def to_hsv(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value (Smith 1978), each [rows, height, width] from 0 to 1."""
    value, place = pictures.max(dim=1)
    spread = value - pictures.min(dim=1).values
    red, green, blue = pictures.unbind(dim=1)
    sixth = spread.clamp_min(1e-6)
    by_place = torch.stack(
        [(green - blue) / sixth, (blue - red) / sixth + 2, (red - green) / sixth + 4]
    )
    hue = by_place.gather(0, place[None])[0].div(6).remainder(1.0)
    return hue, spread / value.clamp_min(1e-6), value


def to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[rows, 3, height, width] from 0 to 1: for each channel n of 5, 3, 1 and k = n + 6 hue,

    value - value saturation max(0, min(k mod 6, 4 - k mod 6, 1)).
    """
    channels = []
    for n in (5, 3, 1):
        k = (n + 6 * hue).remainder(6.0)
        share = torch.minimum(k, 4 - k).clamp(0, 1)
        channels.append(value - value * saturation * share)
    return torch.stack(channels, dim=1)


def main_hue(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[rows]: the hue that most of the picture's colour has, in turns."""
    weight = torch.where(saturation > 0.25, saturation * value, 0.0).flatten(1)
    place = (hue.flatten(1) * HUE_BINS).long().clamp(0, HUE_BINS - 1)
    heights = torch.zeros(len(hue), HUE_BINS, device=hue.device).scatter_add_(1, place, weight)
    around = heights + 0.5 * (heights.roll(1, dims=1) + heights.roll(-1, dims=1))
    return (around.argmax(dim=1) + 0.5) / HUE_BINS


def vary(pictures: Tensor, shown: Sequence[Shown], recipe: VariationRecipe) -> None:
    """Recolours and repeats, in place, those pictures that are to be shown so."""
    hues, numbers = dict(recipe.colours), dict(recipe.numbers)
    coloured = [row for row, each in enumerate(shown) if each.colour]
    if coloured:
        wanted = torch.tensor([hues[shown[row].colour] for row in coloured])
        pictures[coloured] = recolour(pictures[coloured], wanted)
    for row, each in enumerate(shown):
        if each.number:
            pictures[row] = repeat(pictures[row : row + 1], numbers[each.number])[0]
