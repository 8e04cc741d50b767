"""Pages of jobs, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from rq.job import Job, JobStatus
from rq.utils import as_text

from contract.job import STATES, JobRecord, JobState, read_jobs
from contract.job_index import ALWAYS, Span, listed
from contract.queue import model_queue

SCAN = 100  # ids at a time
MOST_SCANNED = 1000  # ids for a page, whatever is filtered out


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs; empty or None is any."""

    states: frozenset[JobState] = frozenset()
    model: str | None = None
    span: Span = ALWAYS

    @property
    def is_any(self) -> bool:
        return not self.states and self.model is None


@dataclass(frozen=True, slots=True)
class Page:
    jobs: Sequence[JobRecord]
    cursor: str | None  # where the next page goes on; None at the end


def list_jobs(
    connection: Redis, owner: str, wanted: Wanted, count: int, cursor: str | None = None
) -> Page:
    """At most `count` jobs that are older than the one at `cursor`. There may be fewer and still a
    next page: no more than MOST_SCANNED are looked at."""
    found: list[str] = []
    scanned, at_end = 0, False
    while len(found) < count and scanned < MOST_SCANNED and not at_end:
        job_ids = listed(connection, owner, SCAN, wanted.span, cursor)
        room = count - len(found)
        matching = _matching(connection, job_ids, wanted)
        taken = matching[:room]
        found += taken
        scanned += len(job_ids)
        at_end = len(job_ids) < SCAN and len(matching) == len(taken)
        if job_ids:
            cursor = taken[-1] if len(taken) == room else job_ids[-1]
    return Page(read_jobs(connection, found), None if at_end else cursor)


def _matching(connection: Redis, job_ids: list[str], wanted: Wanted) -> list[str]:
    if wanted.is_any or not job_ids:
        return job_ids
    pipeline = connection.pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.hmget(Job.key_for(job_id), ["status", "origin"])
    origin = model_queue(connection, wanted.model).name if wanted.model is not None else None
    return [
        job_id
        for job_id, (status, place) in zip(job_ids, pipeline.execute(), strict=True)
        if status is not None
        and (not wanted.states or _state(status) in wanted.states)
        and (origin is None or as_text(place or b"") == origin)
    ]


def _state(status: bytes) -> JobState:
    return STATES.get(JobStatus(as_text(status)), JobState.QUEUED)
