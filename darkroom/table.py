"""Rows of text under a head, in columns."""

import sys
from collections.abc import Sequence

NONE = "-"


def write_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """None is shown as a dash, and whatever a terminal would obey as a space."""
    lines = [tuple(head), *(tuple(map(_cell, row)) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _cell(value: object) -> str:
    text = NONE if value is None else str(value)
    return "".join(each if each.isprintable() else " " for each in text)
