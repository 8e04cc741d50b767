"""When a webhook that was not taken is sent again: the schedule of Standard Webhooks."""

import email.utils
from datetime import UTC, datetime

INTERVALS_S = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""After the first attempt, which is made at once: eight in a little more than a day."""

JITTER = 0.2
"""So much longer at most, by chance: receivers that come back are not met by all at one moment."""

MOST_ASKED_S = 24 * 3600
"""A receiver that asks for a longer pause gets this one."""


def pause_s(failures: int, asked_s: float | None, chance: float) -> int | None:
    """How long to wait after so many failed attempts, in whole seconds; None for ever.

    Args:
        failures: attempts that were made, at least 1.
        asked_s: the least that the receiver asked for, if it did.
        chance: from 0 to 1.
    """
    if failures > len(INTERVALS_S):
        return None
    planned = INTERVALS_S[failures - 1] * (1 + JITTER * chance)
    return round(max(planned, min(asked_s or 0.0, MOST_ASKED_S)))


def asked_pause_s(retry_after: str | None, now: datetime) -> float | None:
    """The header Retry-After in seconds, which may also name a date; None where it says nothing."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
