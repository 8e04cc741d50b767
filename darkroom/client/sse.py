"""Server-Sent Events out of bytes, as the HTML standard has them (section 9.2.6)."""

import re
from dataclasses import dataclass

_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""Of a line. After a CR at the end of what has come so far there may be an LF."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Sent:
    name: str
    data: str
    id: str | None  # of this event, or of the last one before it that had any


class EventParser:
    """For one connection: what was broken off with it is not an event."""

    def __init__(self, last_id: str | None = None):
        self._rest = b""
        self._is_first = True
        self._name = ""
        self._data: list[str] = []
        self._id = last_id

    def feed(self, chunk: bytes) -> list[Sent]:
        """The events that are complete with these bytes."""
        *lines, self._rest = _END.split(self._rest + chunk)
        found = (self._line(line) for line in lines)
        return [sent for sent in found if sent is not None]

    def _line(self, line: bytes) -> Sent | None:
        if self._is_first:
            line, self._is_first = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value or None
        return None

    def _dispatch(self) -> Sent | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return Sent(name or "message", "\n".join(data), self._id) if data else None
