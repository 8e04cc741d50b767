"""When what happened to a job: one list of times, from which its phases follow."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple, Self

MOMENTS = (
    "received",
    "accepted",
    "taken",
    "admitted",
    "text_encoded",
    "denoised",
    "decoded",
    "encoded",
    "stored",
    "published",
)
PHASES = (
    "accept",
    "queue",
    "admission",
    "text_encode",
    "denoise",
    "decode",
    "encode",
    "store",
    "publish",
)
"""Each between two of the moments."""


class Span(NamedTuple):
    phase: str
    began: float  # seconds since the epoch
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Timeline:
    """The times of the moments, as far as they have come, in seconds since the epoch.

    As floats they are multiples of 2^-22 s, whose differences and sums are exact: the phases add up
    to the total, to the last bit.
    """

    times: tuple[float, ...]  # none before the one that it follows

    @classmethod
    def of(cls, times: Iterable[float]) -> Self:
        """Clocks of two machines may differ: a time that is before its predecessor's becomes it."""
        return cls(tuple(accumulate(times, max)))

    def then(self, time: float) -> Self:
        """With the moment that follows."""
        return self.of((*self.times, time))

    @property
    def spans(self) -> list[Span]:
        pairs = pairwise(self.times)
        return [Span(phase, *pair) for phase, pair in zip(PHASES, pairs, strict=False)]

    @property
    def total_s(self) -> float:
        return self.times[-1] - self.times[0]
