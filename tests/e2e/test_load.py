"""The load test on a real service: its figures, and the page that shows them."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import ROOT

WORDS = (
    "--rate 6 --seconds 3 --warm-up 0.5 --steps 2:3,6 --sizes 32x32,64x64 --images 1:3,2 --fetch"
)
PHASES = {"accept", "queue", "admission", "text_encode", "denoise", "decode", "encode", "store"}


class Page(HTMLParser):
    """What a browser would see of it."""

    def __init__(self, text: str):
        super().__init__()
        self.values: list[str] = []  # of all figures
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.cells: dict[str, list[float]] = {}  # figures by the name of their row
        self._row = ""
        self._is_name = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.links += [given[name] or "" for name in ("src", "href", "srcset") if name in given]
        if tag == "data":
            self.values.append(given["value"] or "")
            self.cells.setdefault(self._row, []).append(float(given["value"] or "nan"))
        if tag == "th" and given.get("scope") == "row":
            self._row, self._is_name = "", True

    def handle_endtag(self, tag: str) -> None:
        if tag == "th":
            self._is_name = False

    def handle_data(self, data: str) -> None:
        if self._is_name:
            self._row += data


@pytest.fixture(scope="module")
def report(service: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    command = [sys.executable, "benchmarks/load.py", "--url", str(service.base_url).rstrip("/")]
    command += [*WORDS.split(), "--report", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (html,) = folder.glob("*.html")
    assert str(html) in done.stdout
    return html


@pytest.fixture(scope="module")
def found(report: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(report.with_suffix(".json").read_text())
    return figures


def test_every_request_is_accounted_for(found: dict[str, Any]) -> None:
    asked = found["requests"]
    assert asked["counted"] == asked["succeeded"] > 5
    assert asked["pictures"] > asked["counted"]
    assert found["errors"] == found["refusals"] == {}
    assert found["objective"]["share"] == 1.0
    assert found["estimates"]["count"] <= asked["counted"]


def test_the_phases_add_up_to_the_time_that_was_seen(found: dict[str, Any]) -> None:
    phases = found["phases"]
    assert phases.keys() == PHASES | {"outside"}
    means = sum(phase["mean"] for phase in phases.values())
    assert means == pytest.approx(found["service_s"]["mean"])
    assert sum(phase["share"] for phase in phases.values()) == pytest.approx(1.0)
    assert phases["denoise"]["mean"] > 0


def test_the_workers_tell_of_what_was_asked_for(found: dict[str, Any]) -> None:
    workers = found["server"]["workers"]
    assert workers["jobs"]["succeeded"] >= found["requests"]["counted"]
    assert workers["pictures"] >= found["requests"]["pictures"]
    assert 0 < workers["occupancy"] <= 1
    assert sum(workers["occupancy_steps"].values()) == workers["steps"] > 0
    assert found["server"]["api"]["jobs_accepted"] >= found["requests"]["counted"]


def test_the_queue_was_looked_at_while_it_ran(found: dict[str, Any]) -> None:
    samples = found["series"]["samples"]
    assert len(samples) >= 3
    assert all(sample["depth"] is not None and sample["oldest_s"] >= 0 for sample in samples)
    assert any(sample["occupancy"] for sample in samples)


def test_times_are_told_for_each_size_and_each_number_of_steps(found: dict[str, Any]) -> None:
    assert found["by"]["size"].keys() == {"32x32", "64x64"}
    assert found["by"]["steps"].keys() == {"2", "6"}
    for groups in found["by"].values():
        assert sum(each["count"] for each in groups.values()) == found["requests"]["counted"]
    curve = found["cdf"]["response_s"]
    assert curve == sorted(curve)
    assert curve[-1] == [found["response_s"]["max"], 1.0]


def test_the_page_fetches_nothing_and_runs_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    assert set(page.links) <= {"data:,"}
    assert "script" not in page.tags
    assert not re.search(r"@import|url\(", text)
    assert page.tags >= {"svg", "table", "style"}
    assert "<section" in text
    assert "Queue age" in text
    assert "Batch occupancy over time" in text


def test_the_figures_of_the_page_are_those_of_the_json(report: Path, found: dict[str, Any]) -> None:
    page = Page(report.read_text(encoding="utf-8"))

    def numbers(part: object) -> set[float]:
        if isinstance(part, dict | list):
            inner = part.values() if isinstance(part, dict) else part
            return set().union(*map(numbers, inner))
        return {float(part)} if isinstance(part, int | float) else set()

    assert len(page.values) > 60
    assert {float(value) for value in page.values} <= numbers(found)
    columns = ("count", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")
    for name in ("response", "service"):
        assert page.cells[name] == [found[f"{name}_s"][column] for column in columns]
    told = [found["phases"]["denoise"][name] for name in ("share", "mean", "p50", "p95", "max")]
    told.append(found["server"]["workers"]["phases_mean_s"]["denoise"])
    assert page.cells["denoise"] == told
