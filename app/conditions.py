"""Conditions and ranges of a GET (RFC 9110, sections 13 and 14), for content that never changes."""

import re
from dataclasses import dataclass

from contract.errors import RangeNotSatisfiable

ENTITY_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
BYTES = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE | re.ASCII)
MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last` of `size`."""

    first: int
    last: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size}"

    def of(self, content: bytes) -> bytes:
        return content[self.first : self.last + 1]


def has_already(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has the content of that tag, by a weak comparison."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(found[0].removeprefix("W/") == etag for found in ENTITY_TAG.finditer(if_none_match))


def wanted_part(range_: str | None, if_range: str | None, etag: str, size: int) -> Part | None:
    """The part that is asked for; None where all of it goes out: nothing or several parts are
    asked for, or a part of what is no longer the content.

    Raises:
        RangeNotSatisfiable: the part begins beyond the end.
    """
    if range_ is None or (if_range is not None and if_range.strip() != etag):
        return None
    read = BYTES.fullmatch(range_)
    if read is None or not (read[1] or read[2]) or max(len(read[1]), len(read[2])) > MOST_DIGITS:
        return None
    if not read[1]:
        first, last = max(0, size - int(read[2])), size - 1
    else:
        first, last = int(read[1]), min(int(read[2] or size), size - 1)
        if read[2] and int(read[2]) < first:
            return None  # not valid, so it says nothing
    if first >= size:
        raise RangeNotSatisfiable(f"The picture has {size} bytes.", size=size)
    return Part(first, last, size)
