"""Requests and answers as values: nothing is sent or read here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from pydantic_core import from_json

from darkroom.client.errors import BadAddress, BadAnswer, ClientError, Refused, Unreachable
from darkroom.client.jobs import Job

_TEMPORARY = frozenset({408, 429, 502, 503, 504})
_KEY = re.compile(r"[\x21-\x7e]+")
_URL = re.compile(r"https?://[^/?#\s]+[^?#\s]*", re.IGNORECASE)

NO_ROUTE = (
    "There is nothing at this path. The URL of a client is where the service itself is, such as "
    "http://127.0.0.1:8000, without /v1 or another path of its routes."
)

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    params: Parameters = ()
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    holds_s: float = 0.0  # how long the service may keep the answer back
    after_s: float = 0.0  # the pause before it is sent


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes
    elapsed_s: float

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may be answered otherwise in a while."""
        return self.status in _TEMPORARY

    @property
    def retry_after_s(self) -> float | None:
        """None where the service does not say, or not in a way that can be read."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal():
            return float(value)
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())

    def error(self) -> ClientError:
        """What this answer means, which is not a success."""
        if self.status < 400:
            where = self.headers.get("location")
            leads = f" and leads to {where}" if where else ""
            return BadAnswer(f"The service answered {self.status}{leads}; it is not a darkroom.")
        try:
            problem = from_json(self.content)
        except ValueError:
            problem = None
        if self.status == 404 and _is_of_no_route(problem):
            problem = {"code": "not_found", "detail": NO_ROUTE}
        return Refused.of(self.status, problem, self.retry_after_s)


def _is_of_no_route(problem: object) -> bool:
    """Whether a 404 is of the path alone, and not of what was asked for by it."""
    code = problem.get("code") if isinstance(problem, Mapping) else None
    return code in (None, "not_found")


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came."""

    why: str

    is_temporary = True
    retry_after_s = None

    def error(self) -> ClientError:
        return Unreachable(self.why)


def usable_url(url: str) -> str:
    """
    Raises:
        BadAddress: it is not one of http.
    """
    if _URL.fullmatch(url) is None:
        raise BadAddress(f"{url!r} is not the URL of a service, such as http://127.0.0.1:8000.")
    return url


def key_headers(key: str | None) -> Mapping[str, str]:
    """
    Raises:
        BadAddress: no header can carry the key, which is not repeated.
    """
    if key is None:
        return {}
    if _KEY.fullmatch(key) is None:
        raise BadAddress("The API key must be printable ASCII without spaces.")
    return {"Authorization": f"Bearer {key}"}


def id_of(job: Job | str) -> str:
    return job.id if isinstance(job, Job) else job


def ask(fields: Mapping[str, Any], idempotency_key: str | None, *, is_fresh: bool) -> Call:
    """POST /generate. A field that is None is left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return Call("POST", "/generate", json=given, headers=_manner(idempotency_key, is_fresh))


def ask_again(job_id: str, seed: str | int, idempotency_key: str | None, *, is_fresh: bool) -> Call:
    headers = _manner(idempotency_key, is_fresh)
    return Call("POST", _path(job_id, "/retry"), json={"seed": seed}, headers=headers)


def look(job_id: str, wait_s: int = 0) -> Call:
    params = (("wait", str(wait_s)),) if wait_s else ()
    return Call("GET", _path(job_id), params=params, holds_s=wait_s)


def cancel(job_id: str) -> Call:
    return Call("POST", _path(job_id, "/cancel"))


def delete(job_id: str) -> Call:
    return Call("DELETE", _path(job_id))


def follow(job_id: str, last_event_id: str | None, holds_s: float, after_s: float) -> Call:
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    return Call("GET", _path(job_id, "/events"), (), None, headers, holds_s, after_s)


def picture(job_id: str, n: int) -> Call:
    return Call("GET", _path(job_id, f"/images/{n}"))


def get(path: str, params: Parameters = ()) -> Call:
    return Call("GET", path, params)


def _manner(idempotency_key: str | None, is_fresh: bool) -> Mapping[str, str]:
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return headers | {"Cache-Control": "no-cache"} if is_fresh else headers


def _path(job_id: str, rest: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}{rest}"
