"""What a picture may be called: its label mostly, and other ways in which a person would ask."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from training.emoji import Concept
from training.order import Draw
from training.recipe import TextRecipe

VOWELS = "aeiou"
JOINTS = (" with ", " of ", " in ", " on ", " without ", " and ")
"""What follows the noun of a label begins with one of these."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture shows, and how it differs from the set's own picture of that thing."""

    concept: int
    style: str = ""  # empty: not to be named
    colour: str = ""  # recoloured
    number: str = ""  # a number word: drawn so many times


class Captioner:
    """Draws a text for each picture."""

    def __init__(self, concepts: Sequence[Concept], recipe: TextRecipe) -> None:
        self.recipe = recipe
        self.concepts = concepts
        self._other_names = other_names(concepts, recipe)

    def texts(self, pictures: Sequence[Shown], draw: Draw) -> list[str]:
        """[pictures]: one text each, chosen by chance."""
        chances = draw.uniform(len(pictures), 4).tolist()
        return [self._text(each, *chance) for each, chance in zip(pictures, chances, strict=True)]

    def _text(self, shown: Shown, kind: float, which: float, named: float, first: float) -> str:
        recipe, tags = self.recipe, self.concepts[shown.concept].tags
        name, others = self.concepts[shown.concept].label, self._other_names[shown.concept]
        if kind < recipe.other_name_share and others:
            name = _pick(others, which)
        text = varied(name, shown, recipe)
        kind -= recipe.other_name_share
        if 0 <= kind < recipe.template_share:
            text = _pick(recipe.templates, which).format(text, a=article(text))
        elif recipe.template_share <= kind < recipe.template_share + recipe.tag_share and tags:
            text = f"{text}, {_pick(tags, which)}"
        if not shown.style or named >= recipe.style_named_share:
            return text
        before = first < recipe.style_first_share
        return f"{shown.style} {text}" if before else f"{text}, {shown.style}"


def taught(shown: Sequence[Shown], concepts: Sequence[Concept], recipe: TextRecipe) -> set[str]:
    """Everything that these pictures may be called, but for templates and added tags."""
    others = other_names(concepts, recipe)
    texts = set()
    for each in shown:
        for name in (concepts[each.concept].label, *others[each.concept]):
            text = varied(name, each, recipe)
            texts |= {text, f"{each.style} {text}"} if each.style else {text}
    return texts


def other_names(concepts: Sequence[Concept], recipe: TextRecipe) -> list[tuple[str, ...]]:
    """[concepts]: what else may be said, where it is no concept's label.

    That is the tags that belong to this concept alone, and the label without its colour.
    """
    uses = Counter(tag for concept in concepts for tag in set(concept.tags))
    labels = {concept.label.lower() for concept in concepts}
    names = []
    for concept in concepts:
        own = [tag for tag in concept.tags if uses[tag] == 1]
        plain = without_colour(concept.label, recipe)
        names.append(tuple(name for name in (plain, *own) if name.lower() not in labels))
    return names


def without_colour(label: str, recipe: TextRecipe) -> str:
    """ "red apple" is an apple; a label that is nothing but a colour stays."""
    colours = recipe.colour_words.split()
    return " ".join(word for word in label.split() if word not in colours) or label


def varied(label: str, shown: Shown, recipe: TextRecipe) -> str:
    """The label of a recoloured or repeated picture: "blue cat face", "two cat faces"."""
    if shown.colour:
        label = f"{shown.colour} {without_colour(label, recipe)}"
    return f"{shown.number} {plural(label)}" if shown.number else label


def plural(label: str) -> str:
    """Of a label's noun, which is the last word before the first preposition."""
    cut = min((label.find(joint) for joint in JOINTS if joint in label), default=len(label))
    noun, rest = label[:cut], label[cut:]
    if noun.endswith(("s", "x", "ch", "sh")):
        noun = noun if noun.endswith("s") and not noun.endswith("ss") else noun + "es"
    elif noun.endswith("y") and noun[-2:-1] not in VOWELS:
        noun = noun[:-1] + "ies"
    else:
        noun += "s"
    return noun + rest


def article(text: str) -> str:
    return "an" if text[:1].lower() in VOWELS else "a"


def _pick(options: Sequence[str], chance: float) -> str:
    return options[int(chance * len(options))]
