"""Who is told of a job by a webhook, and of what: a part of a request that changes no picture."""

import json
import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from contract.destinations import is_odd_address

EventType = Literal["job.started", "job.succeeded", "job.failed", "job.cancelled"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
ENDS: tuple[EventType, ...] = ("job.succeeded", "job.failed", "job.cancelled")

MOST_TAGS_BYTES = 4096
"""All tags together, as JSON: they travel with every webhook, which stays small."""

_URL_TEXT = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""What RFC 3986 lets a URL hold, and nothing that two parsers might read in two ways."""
_PLACE = re.compile(
    r"((?=[^:]{1,253}(:|$))([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}|\[[0-9A-Fa-f:.]+\])(:\d+)?"
)
"""A host and a port: no user, no password, no dot at the end."""


def _web_url(url: str) -> str:
    fault = _url_fault(url)
    if fault is not None:
        raise PydanticCustomError("webhook_url", "{fault}", {"fault": fault})
    return url


def _url_fault(url: str) -> str | None:
    """What is wrong with a URL as such, wherever it leads; None where nothing is."""
    if _URL_TEXT.fullmatch(url) is None:
        return "Must be a URL of ASCII characters, an international name in its xn-- form"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"Must be a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return "Must begin with http:// or https://"
    if _PLACE.fullmatch(parts.netloc) is None or port == 0:
        return (
            "Must name a host, and perhaps a port, without user, password, or a dot at the "
            "host's end"
        )
    if is_odd_address(parts.hostname or ""):
        return "Must write an address as four decimal numbers, or as IPv6 in brackets"
    if "#" in url:
        return "Must not hold a fragment"
    return None


def _without_doubles(events: list[EventType]) -> list[EventType]:
    if len(set(events)) < len(events):
        raise PydanticCustomError("doubles", "Must name each event once")
    return events


def _small(tags: dict[str, str]) -> dict[str, str]:
    if len(json.dumps(tags, ensure_ascii=False).encode()) > MOST_TAGS_BYTES:
        raise PydanticCustomError(
            "tags_too_large", "Must be at most {most} bytes of JSON", {"most": MOST_TAGS_BYTES}
        )
    return tags


WebhookUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_web_url)]
WebhookEvents = Annotated[list[EventType], Field(min_length=1), AfterValidator(_without_doubles)]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
TagText = Annotated[str, StringConstraints(max_length=512)]
Tags = Annotated[dict[TagName, TagText], Field(max_length=16), AfterValidator(_small)]


class Subscription(BaseModel):
    """As it stands with the job."""

    model_config = ConfigDict(frozen=True)

    url: str
    events: list[EventType]
