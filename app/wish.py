"""How a caller wants to be answered: at once or later, with the job or with the picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from app.service import ServiceDep

PICTURE = "image/png"
JSON = "application/json"
WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?")


@dataclass(frozen=True, slots=True)
class Wish:
    wait_s: float  # 0 where the caller does not wait
    picture: bool  # the answer is the picture itself
    applied: str | None  # for `Preference-Applied`


def _wish(
    request: Request,
    service: ServiceDep,
    prefer: Annotated[
        list[str] | None,
        Header(description="`wait=N` waits up to N seconds for the job to end (RFC 7240)."),
    ] = None,
) -> Wish:
    most = service.settings.max_wait_s
    picture = _wants_picture(request)
    asked = _wait(prefer or [])
    if asked is None:
        return Wish(most if picture else 0.0, picture, None)
    wait_s = min(float(asked), most)
    return Wish(wait_s, picture, f"wait={wait_s:g}")


WishDep = Annotated[Wish, Depends(_wish)]


def _wait(prefer: list[str]) -> int | None:
    """The seconds of `wait=N`. A preference that is not understood is none (RFC 7240)."""
    for preference in _members(prefer):
        found = WAIT.fullmatch(preference.split(";")[0].strip().lower())
        if found is not None:
            return int(found[1])
    return None


def _wants_picture(request: Request) -> bool:
    """Whether the picture is asked for by name, and the job is not."""
    accepted = [
        kind.strip().lower()
        for kind, _, parameters in (
            member.partition(";") for member in _members(request.headers.getlist("accept"))
        )
        if not re.search(r"(^|;)\s*q\s*=\s*0(\.0*)?\s*(;|$)", parameters)
    ]
    return PICTURE in accepted and JSON not in accepted


def _members(headers: list[str]) -> Iterator[str]:
    for header in headers:
        yield from header.split(",")
