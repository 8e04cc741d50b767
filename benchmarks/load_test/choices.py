"""What the parts of a request may be, as a person writes them: `4:3, 50` or `native, 64x64`."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from contract.request import MOST_IMAGES, MOST_STEPS
from contract.samplers import SAMPLERS

T = TypeVar("T")
MOST_GUIDANCE = 30.0


class BadOption(Exception):
    """A sentence that begins with the option at fault."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the model of the service can draw, as GET /models tells it."""

    id: str
    width: int
    height: int
    min_side: int
    max_side: int
    side_multiple: int
    most_steps: Mapping[str, int | None]  # by sampler; None for those that it refuses

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        names = ("id", "width", "height", "min_side", "max_side", "side_multiple")
        most_steps = {
            name: None if limits["refusal"] else limits["max_steps"]
            for name, limits in told["samplers"].items()
        }
        return cls(**{name: told[name] for name in names}, most_steps=most_steps)

    def half(self) -> tuple[int, int]:
        """The native size with each side halved, as far as the model goes."""
        multiple = self.side_multiple
        width, height = (
            max(self.min_side, side // 2 // multiple * multiple)
            for side in (self.width, self.height)
        )
        return width, height


@dataclass(frozen=True, slots=True)
class Size:
    """In pixels, or a word for a size that follows from the model."""

    width: int = 0
    height: int = 0
    word: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        if text in ("native", "half"):
            return cls(word=text)
        width, by, height = text.partition("x")
        if not (by and width.isdecimal() and height.isdecimal()):
            raise ValueError("a size is WIDTHxHEIGHT, native or half")
        return cls(int(width), int(height))

    def on(self, card: Card) -> "Size":
        if self.word:
            sides = card.half() if self.word == "half" else (card.width, card.height)
            return Size(*sides)
        for side in (self.width, self.height):
            if not card.min_side <= side <= card.max_side or side % card.side_multiple:
                raise BadOption(
                    f"--sizes: {self} cannot be drawn by {card.id}, whose sides are "
                    f"{card.min_side} to {card.max_side} in steps of {card.side_multiple}."
                )
        return self

    def __str__(self) -> str:
        return self.word or f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One of several values, each with its weight."""

    values: tuple[T, ...]
    weights: tuple[float, ...]

    def draw(self, dice: random.Random) -> T:
        return dice.choices(self.values, self.weights)[0]

    def __str__(self) -> str:
        each = zip(self.values, self.weights, strict=True)
        return ", ".join(f"{value}:{weight:g}" for value, weight in each)


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_STEPS:
        raise ValueError(f"steps are 1 to {MOST_STEPS}")
    return int(text)


def _images(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_IMAGES:
        raise ValueError(f"images of a request are 1 to {MOST_IMAGES}")
    return int(text)


def _sampler(text: str) -> str:
    if text not in SAMPLERS:
        raise ValueError(f"samplers are {', '.join(SAMPLERS)}")
    return text


def _guidance(text: str) -> float:
    refusal = f"guidance is a number from 0 to {MOST_GUIDANCE:g}"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(refusal) from None
    if not 0 <= value <= MOST_GUIDANCE:
        raise ValueError(refusal)
    return value


PARSERS: Mapping[str, Callable[[str], Any]] = {
    "steps": _steps,
    "samplers": _sampler,
    "sizes": Size.parse,
    "images": _images,
    "guidance": _guidance,
}
"""One for each part of a request that a mix may vary."""


def parse_choice(name: str, told: object) -> Choice[Any]:
    """`4:3, 50` as the value 4 three times as often as 50; a list or a number of TOML likewise.

    Raises:
        BadOption: `--NAME: …`.
    """
    words = told if isinstance(told, list) else str(told).split(",")
    values, weights = [], []
    for word in words:
        value, _, weight = str(word).strip().partition(":")
        try:
            values.append(PARSERS[name](value.strip()))
        except ValueError as error:
            raise BadOption(f"--{name}: {error}, not {value.strip()!r}.") from None
        weights.append(parse_weight(f"--{name}", weight.strip() or "1"))
    return Choice(tuple(values), tuple(weights))


def parse_weight(option: str, told: object) -> float:
    try:
        weight = float(str(told))
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise BadOption(f"{option}: a weight is a number above 0, not {told!r}.")
    return weight
