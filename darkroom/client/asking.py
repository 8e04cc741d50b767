"""What may be asked for, by keyword. Bounds and defaults are the service's, which checks them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, TypedDict

from darkroom.client.calls import Parameters
from darkroom.client.jobs import JobState

URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0


class Wishes(TypedDict, total=False):
    """The fields of a request beside its prompt."""

    negative_prompt: str | None
    guidance: float | None
    guidance_start: float | None
    guidance_stop: float | None
    steps: int | None
    sampler: str | None
    seed: int | None
    width: int | None
    height: int | None
    size_policy: Literal["refuse", "fit"] | None
    images: int | None
    format: Literal["png", "jpeg", "webp"] | None
    quality: int | None
    metadata: bool | None
    previews: int | None
    priority: Literal["high", "normal", "low"] | None
    model: str | None
    webhook: str | None
    webhook_events: list[str] | None
    tags: Mapping[str, str] | None


class Filters(TypedDict, total=False):
    """Which jobs are wanted; times without a zone are UTC."""

    state: JobState | Iterable[JobState]
    model: str | None
    created_after: datetime | None
    created_before: datetime | None


def parameters(filters: Filters) -> Parameters:
    """Of a GET of the list."""
    states = filters.get("state", ())
    found: list[tuple[str, str]] = [
        ("state", each) for each in ([states] if isinstance(states, str) else states)
    ]
    if model := filters.get("model"):
        found.append(("model", model))
    if after := filters.get("created_after"):
        found.append(("created_after", after.isoformat()))
    if before := filters.get("created_before"):
        found.append(("created_before", before.isoformat()))
    return found
