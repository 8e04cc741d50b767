"""What is noted of the request that is being answered, for those who tell of it at its end."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Notes:
    traceparent: str | None = None
    """What is done for the request is a part of this span, where traces are made."""

    job_id: str | None = None


_NOTES: ContextVar[Notes] = ContextVar("notes")
"""Of the task that answers the request, which the depths of a route know nothing of."""


def begin_notes() -> Notes:
    notes = Notes()
    _NOTES.set(notes)
    return notes


def note_job(job_id: str) -> None:
    """The request has made this job, or found the one that it had made."""
    notes = _NOTES.get(None)
    if notes is not None:
        notes.job_id = job_id


def traceparent() -> str | None:
    """Of the request's span; None where nobody traces it."""
    notes = _NOTES.get(None)
    return notes.traceparent if notes is not None else None
