"""Turning hues, and drawing a thing several times."""

import torch

from training.emoji import Concept
from training.recipe import TextRecipe, VariationRecipe
from training.texts import Shown
from training.variation import (
    colours_of,
    is_colourful,
    recolour,
    repeat,
    to_hsv,
    to_rgb,
    vary,
)

RECIPE = VariationRecipe()


def square(red: float, green: float, blue: float, size: int = 16) -> torch.Tensor:
    """[1, 3, size, size] from -1 to 1: a coloured square on white."""
    picture = torch.ones(1, 3, size, size)
    picture[0, :, 4:-4, 4:-4] = torch.tensor([red, green, blue])[:, None, None] * 2 - 1
    return picture


def test_hue_saturation_and_value_come_back_as_the_same_picture() -> None:
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(to_rgb(*to_hsv(pictures)), pictures, atol=1e-5)


def test_a_red_thing_becomes_a_blue_thing_on_white() -> None:
    blue = recolour(square(0.9, 0.1, 0.1), torch.tensor([2 / 3]))
    middle = (blue[0, :, 8, 8] + 1) / 2
    assert middle.argmax() == 2
    assert torch.allclose(blue[0, :, 0, 0], torch.ones(3), atol=1e-5)


def test_grey_things_are_not_colourful() -> None:
    both = torch.cat([square(1, 0, 0), square(0.4, 0.4, 0.4)])
    assert is_colourful(both, RECIPE).tolist() == [True, False]


def test_two_stand_beside_each_other() -> None:
    two = repeat(square(1, 0, 0), 2)
    drawn = two[0, 1] < 0
    assert drawn[:, :8].sum() == drawn[:, 8:].sum() > 0
    assert not drawn[:3].any()


def test_nothing_is_recoloured_into_another_concept() -> None:
    concepts = [
        Concept("1", "red apple", (), "food-drink", "food-fruit"),
        Concept("2", "green apple", (), "food-drink", "food-fruit"),
        Concept("3", "up arrow", (), "symbols", "arrow"),
    ]
    apple, _, arrow = colours_of(concepts, TextRecipe(), RECIPE)
    assert "blue" in apple
    assert "green" not in apple
    assert arrow == []


def test_only_the_pictures_that_are_to_be_varied_are() -> None:
    pictures = square(1, 0, 0).repeat(3, 1, 1, 1)
    before = pictures.clone()
    vary(pictures, [Shown(0), Shown(0, colour="green"), Shown(0, number="two")], RECIPE)
    assert torch.equal(pictures[0], before[0])
    assert not torch.equal(pictures[1], before[1])
    assert not torch.equal(pictures[2], before[2])
