"""Tables in Markdown."""

from collections.abc import Iterable


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(columns)]
    lines += [["---"] * len(lines[0]), *([cell_of(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell_of(value: object) -> str:
    return str(value).replace("|", r"\|")
