"""Reading the header Accept (RFC 9110, section 12.5.1): which of our forms suits a client best."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
RANGE = re.compile(rf"\s*({TOKEN})/({TOKEN})((?:\s*;[^,]*)?)\s*")
WEIGHT = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MediaRange:
    type: str
    subtype: str
    weight: float  # 0 is not acceptable
    place: int  # in the header

    def covers(self, media_type: str) -> bool:
        kind, _, subtype = media_type.partition("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)

    @property
    def precision(self) -> int:
        return (self.type != "*") + (self.subtype != "*")


def media_ranges(header: str) -> list[MediaRange]:
    """What is no media range is left out. Parameters other than the weight are not looked at."""
    found = []
    for place, text in enumerate(header.split(",")):
        read = RANGE.fullmatch(text)
        if read is None or (read[1] == "*" and read[2] != "*"):
            continue
        weighed = WEIGHT.search(read[3])
        weight = float(weighed[1]) if weighed is not None else 1.0
        found.append(MediaRange(read[1].lower(), read[2].lower(), weight, place))
    return found


def preferred(header: str | None, offers: Sequence[str]) -> str | None:
    """The offer that the client likes best; of several, the one that it named first, then ours.
    None where it likes none of them."""
    ranges = media_ranges(header or "")
    if not ranges:
        return offers[0]
    liked = []
    for ours, offer in enumerate(offers):
        covering = [each for each in ranges if each.covers(offer)]
        if covering:
            best = max(covering, key=lambda each: (each.precision, -each.place))
            liked.append((-best.weight, best.place, ours))
    weight, _, ours = min(liked, default=(0.0, 0, 0))
    return offers[ours] if weight else None
