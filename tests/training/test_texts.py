"""What pictures are called."""

from dataclasses import replace

import pytest

from training.emoji import Concept
from training.order import draw_of
from training.recipe import TextRecipe
from training.texts import (
    Captioner,
    Shown,
    article,
    other_names,
    plural,
    varied,
    without_colour,
)

CONCEPTS = (
    Concept("1", "red apple", ("fruit", "gala"), "food-drink", "food-fruit"),
    Concept("2", "pear", ("fruit",), "food-drink", "food-fruit"),
)
NEVER = TextRecipe(
    other_name_share=0,
    template_share=0,
    tag_share=0,
    style_named_share=0,
    style_first_share=0,
    templates=("{a} {}!",),
)


def test_other_names_are_own_tags_and_the_thing_without_its_colour() -> None:
    assert other_names(CONCEPTS, NEVER) == [("apple", "gala"), ()]
    assert without_colour("red", NEVER) == "red"


@pytest.mark.parametrize(
    ("recipe", "texts"),
    [
        (NEVER, ["red apple", "pear"]),
        (replace(NEVER, other_name_share=1.0), ["apple", "pear"]),
        (replace(NEVER, template_share=1.0), ["a red apple!", "a pear!"]),
        (replace(NEVER, style_named_share=1.0), ["red apple, noto", "pear, noto"]),
        (
            replace(NEVER, style_named_share=1.0, style_first_share=1.0),
            ["noto red apple", "noto pear"],
        ),
    ],
)
def test_each_kind_of_text(recipe: TextRecipe, texts: list[str]) -> None:
    captioner = Captioner(CONCEPTS, recipe)
    assert captioner.texts([Shown(0, "noto"), Shown(1, "noto")], draw_of(0, 0)) == texts


def test_a_tag_is_added_behind_the_label() -> None:
    captioner = Captioner(CONCEPTS, replace(NEVER, tag_share=1.0))
    assert captioner.texts([Shown(1)], draw_of(0, 0)) == ["pear, fruit"]


@pytest.mark.parametrize(
    ("label", "several"),
    [
        ("cat", "cats"),
        ("cherry", "cherries"),
        ("box", "boxes"),
        ("grapes", "grapes"),
        ("key", "keys"),
        ("cat with wry smile", "cats with wry smile"),
    ],
)
def test_several_of_a_thing(label: str, several: str) -> None:
    assert plural(label) == several


def test_a_varied_picture_is_named_as_it_looks() -> None:
    assert varied("cat", Shown(0, colour="blue"), NEVER) == "blue cat"
    assert varied("red apple", Shown(0, colour="blue"), NEVER) == "blue apple"
    assert varied("red apple", Shown(0, number="two"), NEVER) == "two red apples"


def test_the_article_listens_to_the_first_letter() -> None:
    assert (article("apple"), article("pear")) == ("an", "a")
