"""The figures of docs/scaling.md are those of the run whose JSON it names."""

import json
import re
from typing import Any

import pytest

from tests.service import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
FLEET: dict[str, Any] = json.loads((ROOT / "docs/benchmarks/fleet-cpu.json").read_text())
FEW: dict[str, Any] = FLEET["few"]
HOUR_S = 3600
H100_PER_S = 4.7


def rows_under(title: str) -> list[list[str]]:
    """The cells of a chapter's first table, without its head."""
    chapter = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    table = [line for line in chapter.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def number(cell: str) -> float:
    found = re.search(r"\d[\d,.]*", cell)
    assert found is not None, cell
    return float(found[0].replace(",", ""))


def is_told(cell: str, value: float) -> bool:
    """Whether a cell rounds a value, by less than a unit of its last digit."""
    told = number(cell)
    digits = re.findall(r"\.(\d+)", cell)
    unit = 10.0 ** -len(digits[0]) if digits else 1.0
    return abs(told - value) < max(unit, 0.005 * value)


def test_each_fleet_made_what_the_page_says_and_sixteen_are_linear() -> None:
    rows = rows_under("More workers")
    assert len(rows) == len(FLEET["growing"])
    for (workers, pictures_per_s, linear, worker_mb), figures in zip(
        rows, FLEET["growing"], strict=True
    ):
        assert number(workers) == figures["workers"]
        assert is_told(pictures_per_s, figures["pictures_per_s"])
        assert is_told(linear, figures["linear"])
        assert is_told(worker_mb, figures["worker_mb"])
        assert figures["workers"] > 16 or figures["linear"] >= 0.95
        assert figures["workers_with_torch"] == 0


def test_a_picture_costs_what_was_counted() -> None:
    kinds = ("as it comes", "files", "files, 5 s", "files, none")
    counted = [
        ("cpu_ms_per_picture", "redis", 1),
        ("cpu_ms_per_picture", "redis_all", 1),
        ("redis_per_picture", "round_trips", 1),
        ("redis_per_picture", "commands", 1),
        ("redis_per_picture", "bytes_in", 1e3),
        ("redis_per_picture", "bytes_out", 1e3),
        ("redis_per_picture", "bytes_written", 1e6),
        None,  # what is kept, which the page explains
        ("cpu_ms_per_picture", "api", 1),
        ("cpu_ms_per_picture", "idle_api", 1),
        ("cpu_ms_per_picture", "workers", 1),
    ]
    for (name, *cells), source in zip(rows_under("What a picture costs"), counted, strict=True):
        for kind, cell in zip(kinds, cells, strict=True):
            if source is not None:
                part, figure, unit = source
                assert is_told(cell, FEW[kind][part][figure] / unit), (name, kind)


@pytest.mark.parametrize("row", rows_under("Sizing"), ids=lambda row: row[0])
def test_the_sizing_follows_from_what_a_picture_costs(row: list[str]) -> None:
    rate, h100s, redis = map(number, row[:3])
    kind = "as it comes" if rate == 1 else "files" if rate < 100 else "files, 5 s"
    each, costs = rate / redis, FEW[kind]["redis_per_picture"]
    picture = FEW[kind]["as_seen"]["bytes_per_picture"]
    kept = FEW["files, none"]["redis_bytes_kept_per_picture"]
    busy, network, disk, memory, store = row[3:8]
    assert h100s - 1 < rate / H100_PER_S <= h100s
    assert is_told(busy, each * FEW[kind]["cpu_ms_per_picture"]["redis"] / 10)
    assert number(busy) <= 60
    assert is_told(network, each * (costs["bytes_in"] + costs["bytes_out"]) / 1e6)
    assert is_told(disk, each * costs["bytes_written"] / 1e6)
    if rate == 1:
        assert is_told(memory, each * (kept + picture) * HOUR_S / 1e9)
    else:
        assert is_told(memory, each * kept * HOUR_S / 1e9)
        unit = 1e12 if "TB" in store else 1e9
        assert is_told(store, rate * picture * HOUR_S / unit)
