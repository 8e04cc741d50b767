"""Waiting for what another thread or process does, with a bound."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from redis import Redis

from contract.job import JobRecord, JobState, read_job

LIMIT_S = 60.0
T = TypeVar("T")


def until(look: Callable[[], T | None], limit_s: float = LIMIT_S) -> T:
    """What `look` finds, as soon as it finds something true; fails after `limit_s`."""
    pause = Event()
    for _ in range(int(limit_s / 0.01)):
        found = look()
        if found:
            return found
        pause.wait(0.01)
    raise AssertionError(f"nothing came of it within {limit_s} s")


def job_in(connection: Redis, job_id: str, *states: JobState) -> JobRecord:
    """The job's record once it is in one of `states`; by default, once it has ended."""

    def look() -> JobRecord | None:
        record = read_job(connection, job_id)
        assert record is not None
        reached = record.state in states if states else record.state.is_final
        return record if reached else None

    return until(look)
