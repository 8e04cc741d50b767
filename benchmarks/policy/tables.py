"""What benchmarks/policies.py found, as tables for a terminal or a document."""

from collections.abc import Iterable, Mapping
from typing import Any

from markdown_table import table

HEAD = (
    "load",
    "policy",
    "p50 s",
    "p95 s",
    "p99 s",
    "p95 of the short",
    "on time",
    "pictures/s",
    "on time/s",
    "rows a call",
)


def show(content: Mapping[str, Any]) -> None:
    for name, traffic in content["traffics"].items():
        print(f"\n{name}: at saturation, pictures/s")
        for policy, found in traffic["capacity_per_s"].items():
            print(f"  {policy:24s} {with_range(found)}")
        print(f"  step-level over request-level {with_range(traffic['capacity_ratio'])}\n")
        print(table(HEAD, rows(traffic)))
    if "exactness_of_255" in content:
        print(f"\npictures of both differ by at most {content['exactness_of_255']} of 255")


def show_bars(runs: Mapping[str, Mapping[str, Any]]) -> None:
    """
    Args:
        runs: bars by the run that measured the device.
    """
    lines = []
    for name, first in next(iter(runs.values())).items():
        kind = "at least" if "at least" in first else "at most"
        found = (each.get(name) for each in runs.values())
        cells = (f"{each['found']:.3g} {each['bar']}" if each else "" for each in found)
        lines.append([f"{name}, {kind} {first[kind]}", *cells])
    print(f"\n{table(('bar', *(runs if len(runs) > 1 else ['found'])), lines)}")


def rows(traffic: Mapping[str, Any]) -> Iterable[list[str]]:
    for load, at_load in traffic["loads"].items():
        for policy, found in at_load["policies"].items():
            middle = {name: value and value["median"] for name, value in found.items()}
            short = middle["short_p95_s"]
            yield [
                load,
                policy,
                f"{middle['p50_s']:.2f}",
                with_range(found["p95_s"]),
                f"{middle['p99_s']:.2f}",
                f"{short:.2f}" if short is not None else "",
                f"{middle['on_time']:.0%}",
                f"{middle['pictures_per_s']:.2f}",
                f"{middle['goodput_per_s']:.2f}",
                f"{middle['rows_per_call']:.1f}",
            ]


def with_range(found: Mapping[str, float]) -> str:
    """The median, and the least and the most where there were several."""
    text = f"{found['median']:.2f}"
    if found["least"] == found["most"]:
        return text
    return f"{text} ({found['least']:.2f} to {found['most']:.2f})"
