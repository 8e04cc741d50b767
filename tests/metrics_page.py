"""What docs/metrics.md says, to be held against what a process shows."""

import re
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) ?\| .+ \|$", re.MULTILINE)

Described = Mapping[str, tuple[str, frozenset[str]]]
"""Type and labels by name."""


def written(section: str) -> Described:
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return {name: (kind, _labels(labels)) for name, kind, labels in ROW.findall(text)}


def shown(registry: CollectorRegistry) -> Described:
    """As Prometheus sees it; each metric must have a sample, or its labels are not known."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            frozenset(name for sample in family.samples for name in sample.labels) - {"le"},
        )
        for family in families
    }


def _labels(text: str) -> frozenset[str]:
    return frozenset(name for name in text.replace(" ", "").split(",") if name)
