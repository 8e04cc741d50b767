"""The Grafana dashboard as it stands in its file."""

import json
from dataclasses import dataclass
from typing import Any

from tests.service import ROOT

FILE = ROOT / "docker" / "grafana" / "dashboards" / "darkroom.json"
ALL = ".*"
"""What a variable is where nothing is chosen."""


@dataclass(frozen=True, slots=True)
class Target:
    query: str
    legend: str
    is_instant: bool


@dataclass(frozen=True, slots=True)
class Panel:
    row: str
    content: dict[str, Any]  # as in the file

    @property
    def title(self) -> str:
        title: str = self.content["title"]
        return title

    @property
    def kind(self) -> str:
        kind: str = self.content["type"]
        return kind

    @property
    def unit(self) -> str:
        unit: str = self.content["fieldConfig"]["defaults"]["unit"]
        return unit

    @property
    def targets(self) -> list[Target]:
        return [
            Target(each["expr"], each["legendFormat"], each.get("instant", False))
            for each in self.content["targets"]
        ]


def read_dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def panels() -> list[Panel]:
    """All but the rows, each with the title of its row."""
    found, row = [], ""
    for content in read_dashboard()["panels"]:
        if content["type"] == "row":
            row = content["title"]
        else:
            found.append(Panel(row, content))
    return found


def filled(query: str, *, rate_interval: str, time_range: str) -> str:
    """The query as Grafana asks it, with its variables at what they are at first."""
    for name, value in (
        ("$__rate_interval", rate_interval),
        ("$__range", time_range),
        ("$model", ALL),
        ("$instance", ALL),
    ):
        query = query.replace(name, value)
    return query
