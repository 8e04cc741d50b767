"""What a process shows to Prometheus, at a moment, and between two of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
"""Prometheus' own parser takes ten times as long, in which no request could be sent."""

Series = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of each series."""

    values: Mapping[Series, float]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError where a value is no number."""
        return cls(
            {
                (name, frozenset(LABEL.findall(labels))): float(value)
                for name, labels, value in SAMPLE.findall(text)
            }
        )

    def since(self, earlier: "Reading") -> "Reading":
        """The increase of each counter. One that is smaller than before began again at 0."""
        return Reading(
            {
                series: value - before if value >= before else value
                for series, value in self.values.items()
                for before in (earlier.values.get(series, 0.0),)
            }
        )

    def pick(self, name: str, **labels: str) -> list[float]:
        """Of all series of that name with these labels among theirs."""
        wanted = frozenset(labels.items())
        return [v for (n, has), v in self.values.items() if n == name and wanted <= has]

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.pick(name, **labels))

    def mean(self, histogram: str, **labels: str) -> float | None:
        """Of what it observed; None where that was nothing."""
        count = self.sum(f"{histogram}_count", **labels)
        return self.sum(f"{histogram}_sum", **labels) / count if count else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of a name's series by the values of a label."""
        found: dict[str, float] = {}
        for (each, has), value in self.values.items():
            key = dict(has).get(label)
            if each == name and key is not None:
                found[key] = found.get(key, 0.0) + value
        return found


def together(readings: Iterable[Reading]) -> Reading:
    """The sums over several processes."""
    values: dict[Series, float] = {}
    for reading in readings:
        for series, value in reading.values.items():
            values[series] = values.get(series, 0.0) + value
    return Reading(values)
