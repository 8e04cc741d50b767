"""Requests for pictures and when they come: all of it follows from a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from prompts import PROMPTS

from worker.engine.picture import rows_of

Group = tuple[str, int, float, int, int]
"""What diffusers wants equal of all pictures in a batch."""


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    arrives_at: float  # seconds since the start of the run
    prompt: str  # no two are equal, so that no cache of prompts helps
    sampler: str
    steps: int
    guidance: float
    seed: int
    width: int  # pixels
    height: int  # pixels

    @property
    def rows(self) -> int:
        """Of a U-Net call."""
        return rows_of(self.guidance)

    @property
    def group(self) -> Group:
        return self.sampler, self.steps, self.guidance, self.width, self.height


@dataclass(frozen=True, slots=True)
class Traffic:
    """Each request takes one of each at random; what stands twice is taken twice as often. The
    samplers evaluate the model once a step."""

    name: str
    samplers: tuple[str, ...]
    steps: tuple[int, ...]
    guidances: tuple[float, ...]
    sides: tuple[float, ...] = (1.0,)  # of the native height, for pictures of the native width

    @property
    def row_steps(self) -> float:
        """Rows times model evaluations of a request, in the mean."""
        return fmean(self.steps) * fmean(map(rows_of, self.guidances))

    def requests(self, count: int, seed: int, native: tuple[int, int]) -> list[Request]:
        """A Poisson stream of one request a second; the first ones are the same for any `count`.

        Args:
            native: width and height, in pixels.
        """
        chance = random.Random(f"{self.name} {seed}")
        width, height = native
        requests, now = [], 0.0
        for number in range(count):
            now += chance.expovariate(1.0)
            requests.append(
                Request(
                    number=number,
                    arrives_at=now,
                    prompt=f"{chance.choice(PROMPTS)} {number}",
                    sampler=chance.choice(self.samplers),
                    steps=chance.choice(self.steps),
                    guidance=chance.choice(self.guidances),
                    seed=chance.randrange(2**32),
                    width=width,
                    height=int(height * chance.choice(self.sides)),
                )
            )
        return requests


def at_rate(requests: Sequence[Request], per_s: float) -> list[Request]:
    """The same stream, so many a second."""
    return [replace(each, arrives_at=each.arrives_at / per_s) for each in requests]


SAMPLERS = ("dpmpp_2m_karras", "euler", "euler_a", "ddim", "unipc")

EQUAL = Traffic("equal", ("dpmpp_2m_karras",), (20,), (7.5,))
POPULAR = Traffic(
    "popular", ("dpmpp_2m_karras", "dpmpp_2m_karras", "euler_a"), (20, 30, 50), (7.5,)
)
"""Six kinds of requests: people who change little of what they are offered."""

MIXED = Traffic("mixed", SAMPLERS, tuple(range(10, 51, 5)), (1.0, 4.0, 5.0, 7.5, 9.0))
"""225 kinds, a fifth of the pictures without guidance."""

SIZES = replace(MIXED, name="sizes", sides=(1.0, 0.75))
SHORT_STEPS = 4
SHORT = Traffic(
    "short among long", ("dpmpp_2m_karras",), (SHORT_STEPS, SHORT_STEPS, SHORT_STEPS, 50), (7.5,)
)

TRAFFICS = {each.name: each for each in (EQUAL, POPULAR, MIXED, SIZES, SHORT)}
