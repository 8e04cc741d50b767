"""What is asked for, and when: mixes of requests and Poisson arrivals, both decided by a seed."""

import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from prompts import PROMPTS

from contract.samplers import DEFAULT_SAMPLER
from load_test.choices import PARSERS, BadOption, Card, Choice, Size, parse_choice, parse_weight

DEFAULTS = {
    "weight": "1",
    "steps": "30",
    "samplers": DEFAULT_SAMPLER,
    "sizes": "native",
    "images": "1",
    "guidance": "7.5",
}
"""Of a class of requests."""

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "equal": {"equal": {}},
    "mixed": {
        "mixed": {
            "steps": "10, 15, 20, 25, 30",
            "samplers": "dpmpp_2m_karras, euler, ddim, unipc, euler_a",
            "sizes": "native:3, half:1",
            "images": "1:4, 2:1",
            "guidance": "7.5:4, 1:1",
        }
    },
    "short-long": {"short": {"steps": "4"}, "long": {"steps": "50"}},
}
"""Mixes by name, as a TOML file would write them."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    kind: str  # the name of its class in the mix
    prompt: str  # no two are equal, so that no cache of texts helps
    seed: int
    steps: int
    sampler: str
    size: Size
    images: int
    guidance: float

    def body(self, model: str) -> dict[str, Any]:
        asked = {name: getattr(self, name) for name in ("prompt", "seed", "steps", "sampler")}
        sides = {"width": self.size.width, "height": self.size.height}
        return asked | sides | {"images": self.images, "guidance": self.guidance, "model": model}


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of requests that are alike, such as the short ones."""

    name: str
    weight: float
    steps: Choice[int]
    samplers: Choice[str]
    sizes: Choice[Size]
    images: Choice[int]
    guidance: Choice[float]

    @classmethod
    def parse(cls, name: str, told: Mapping[str, Any]) -> Self:
        for word in told:
            if word not in DEFAULTS:
                allowed = ", ".join(DEFAULTS)
                raise BadOption(f"--mix: class {name!r} has no {word!r}; it may have {allowed}.")
        full = DEFAULTS | dict(told)
        choices = {word: parse_choice(word, full[word]) for word in PARSERS}
        return cls(name, parse_weight("--mix", full["weight"]), **choices)

    def draw(self, dice: random.Random) -> Ask:
        prompt, seed = dice.choice(PROMPTS), dice.randrange(2**32)
        return Ask(
            kind=self.name,
            prompt=f"{prompt} {seed}",
            seed=seed,
            steps=self.steps.draw(dice),
            sampler=self.samplers.draw(dice),
            size=self.sizes.draw(dice),
            images=self.images.draw(dice),
            guidance=self.guidance.draw(dice),
        )

    def on(self, card: Card) -> "Kind":
        sizes = tuple(size.on(card) for size in self.sizes.values)
        for sampler in self.samplers.values:
            most = card.most_steps.get(sampler)
            if most is None:
                raise BadOption(f"--samplers: {card.id} cannot be sampled by {sampler}.")
            if max(self.steps.values) > most:
                raise BadOption(f"--steps: {sampler} on {card.id} takes {most} at most.")
        return replace(self, sizes=replace(self.sizes, values=sizes))

    def told(self) -> dict[str, str]:
        return {"weight": f"{self.weight:g}"} | {name: str(getattr(self, name)) for name in PARSERS}


@dataclass(frozen=True, slots=True)
class Mix:
    """Classes of requests, each with its weight."""

    name: str
    kinds: tuple[Kind, ...]

    @classmethod
    def parse(cls, told: str, overrides: Mapping[str, str | None]) -> Self:
        """
        Args:
            told: the name of a preset, or a TOML file with a table for each class.
            overrides: by the parts of a request: what all classes have instead.

        Raises:
            BadOption: something in it cannot be asked for.
        """
        tables = PRESETS[told] if told in PRESETS else _tables(told)
        given = {name: text for name, text in overrides.items() if text is not None}
        kinds = tuple(Kind.parse(name, {**table, **given}) for name, table in tables.items())
        return cls(told if told in PRESETS else Path(told).stem, kinds)

    def on(self, card: Card) -> "Mix":
        """With sizes in pixels. Raises BadOption where the model cannot draw something of it."""
        return replace(self, kinds=tuple(kind.on(card) for kind in self.kinds))

    def asks(self, seed: int) -> Iterator[Ask]:
        """Without end; the same for the same seed, whatever the rate."""
        dice = random.Random(f"{seed} requests")
        weights = [kind.weight for kind in self.kinds]
        while True:
            yield dice.choices(self.kinds, weights)[0].draw(dice)

    def told(self) -> dict[str, dict[str, str]]:
        return {kind.name: kind.told() for kind in self.kinds}


def _tables(path: str) -> Mapping[str, Mapping[str, Any]]:
    presets = ", ".join(PRESETS)
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise BadOption(f"--mix: {path!r} is neither one of {presets} nor a file.") from None
    except tomllib.TOMLDecodeError as error:
        raise BadOption(f"--mix: {path} is not TOML: {error}.") from None
    if not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise BadOption(f"--mix: {path} needs a table for each class of requests, such as [short].")
    return tables


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Times of arrivals in seconds from 0, without end: independent, `rate` of them a second."""
    dice, at = random.Random(f"{seed} arrivals"), 0.0
    while True:
        at += dice.expovariate(rate)
        yield at
