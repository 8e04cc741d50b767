"""What was found, for a person or a program."""

import json
import sys
from collections import Counter
from collections.abc import Sequence

from darkroom.doctor.finding import Finding, Level

Chapter = tuple[str, Sequence[Finding]]

COLOURS = {Level.OK: "\033[32m", Level.WARN: "\033[33m", Level.FAIL: "\033[31m"}
PLAIN = "\033[0m"


def write_json(chapters: Sequence[Chapter]) -> None:
    findings = [
        {"about": about, "level": each.level, "what": each.what, "remedy": each.remedy or None}
        for about, found in chapters
        for each in found
    ]
    told = {"level": worst(chapters), "findings": findings}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


def write_text(chapters: Sequence[Chapter], with_details: bool) -> None:
    """A line for each finding, with what mends it below; in columns and colours on a terminal."""
    shown = [
        (about, each)
        for about, found in chapters
        for each in found
        if with_details or not each.is_detail
    ]
    is_terminal = sys.stdout.isatty()
    width = max(len(about) for about, _ in shown) if is_terminal else 0
    for about, each in shown:
        level = f"{each.level:<4}"
        if is_terminal:
            level = f"{COLOURS[each.level]}{level}{PLAIN}"
        _write(f"{level}  {about + ':':<{width + 1}} {each.what}")
        if each.remedy:
            _write(f"{'':<{width + 8 if is_terminal else 6}}{each.remedy}")
    counts = Counter(each.level for _, each in shown)
    _write(", ".join(f"{counts[level]} {level}" for level in Level))


def worst(chapters: Sequence[Chapter]) -> Level:
    levels = {each.level for _, found in chapters for each in found}
    return next((level for level in (Level.FAIL, Level.WARN) if level in levels), Level.OK)


def _write(line: str) -> None:
    """Whatever a terminal would obey in it is shown as a space, but for our colours."""
    kept = "".join(each if each.isprintable() or each == "\033" else " " for each in line)
    sys.stdout.write(kept.rstrip() + "\n")
