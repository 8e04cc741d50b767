"""What a look at one thing has shown."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str  # one sentence
    remedy: str = ""  # another one, unless all is well
    is_detail: bool = False  # for whoever wants to see everything


def ok(what: str) -> Finding:
    return Finding(Level.OK, what)


def detail(what: str) -> Finding:
    return Finding(Level.OK, what, is_detail=True)


def warn(what: str, remedy: str) -> Finding:
    return Finding(Level.WARN, what, remedy)


def fail(what: str, remedy: str) -> Finding:
    return Finding(Level.FAIL, what, remedy)
