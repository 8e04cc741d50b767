"""Checks a job's history against the states that a job may pass through."""

from collections.abc import Sequence

from contract.events import EventKind, JobEvent

MAY_FOLLOW = {
    None: {EventKind.QUEUED},
    EventKind.QUEUED: {EventKind.STARTED, EventKind.REQUEUED, EventKind.CANCELLED},
    EventKind.STARTED: {
        EventKind.REQUEUED,
        EventKind.SUCCEEDED,
        EventKind.FAILED,
        EventKind.CANCELLED,
    },
    EventKind.REQUEUED: {EventKind.STARTED, EventKind.REQUEUED, EventKind.CANCELLED},
    EventKind.SUCCEEDED: set[EventKind](),
    EventKind.FAILED: set[EventKind](),
    EventKind.CANCELLED: set[EventKind](),
}
"""A job that was popped and never claimed is requeued without a start."""


def offences(history: Sequence[JobEvent]) -> list[str]:
    """What is wrong with it, as sentences; nothing where the job ended as it should."""
    found = []
    before: EventKind | None = None
    for event in history:
        if event.kind not in MAY_FOLLOW[before]:
            found.append(f"{event.kind} after {before}")
        before = event.kind
    if before is None or not before.is_final:
        found.append(f"the last event is {before}")
    attempts = [int(each.fields["attempt"]) for each in history if each.kind is EventKind.STARTED]
    if attempts != list(range(1, len(attempts) + 1)):
        found.append(f"its attempts are counted {attempts}")
    return found
