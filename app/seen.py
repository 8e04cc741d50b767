"""A request, as those see it who tell of it at its end."""

from dataclasses import dataclass

from starlette.types import Scope

from app.access import Caller
from app.heads import ASKED_METHOD
from app.under_way import Notes

MOST_PATH = 200  # characters; none of our own is longer


@dataclass(slots=True)
class Seen:
    """`status` is None until the answer begins."""

    scope: Scope
    notes: Notes
    status: int | None = None

    @property
    def method(self) -> str:
        method: str = self.scope.get(ASKED_METHOD, self.scope["method"])
        return method

    @property
    def path(self) -> str:
        """As it was sent, and never with the query, which may be signed."""
        raw: bytes = self.scope["raw_path"]
        return raw[:MOST_PATH].decode("ascii", "backslashreplace")

    @property
    def route(self) -> str | None:
        """The template of its path; None where there is none."""
        return getattr(self.scope.get("route"), "path", None)

    @property
    def job_id(self) -> str | None:
        named: str | None = self.scope.get("path_params", {}).get("job_id")
        return self.notes.job_id or named

    @property
    def client(self) -> str | None:
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def key_name(self) -> str | None:
        caller: Caller | None = self.scope.get("state", {}).get("caller")
        return caller.key.name if caller is not None and caller.key is not None else None
