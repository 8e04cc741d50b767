"""What it takes to get something done: calls that depend on each other's answers.

A plan is a generator that gives out the next `Call` and is sent what came of it. It sends nothing
itself, and so is the same for whoever does, with threads or with coroutines.
"""

import hashlib
import math
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

from darkroom.client import calls
from darkroom.client.answers import Answer, read
from darkroom.client.calls import Call, Lost, Reply
from darkroom.client.errors import BadAnswer, NotThere, WaitTimeout, WrongState
from darkroom.client.jobs import Image, Job, JobPage
from darkroom.client.retries import Retries

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=Answer)
Plan = Generator[Call, Reply | Lost, T]

LONG_POLL_S = 25
"""Shorter than proxies wait for an answer."""

POLL_S = 1.0
"""Between two looks at a job, where the service does not hold the answer back for longer."""

MOST_DELETES = 3
"""That a job takes: one cancels it, or comes just as it ends."""


def exchange(call: Call, retries: Retries, until: float = math.inf) -> Plan[Reply]:
    """Sends a call until there is an answer that will not be another one in a while.

    Args:
        until: by `time.monotonic`; no pause leads beyond it.
    """
    failures = 0
    while True:
        outcome = yield call
        if isinstance(outcome, Reply) and outcome.is_success:
            return outcome
        error = outcome.error()
        if not outcome.is_temporary:
            error.may_be_ours = failures > 0
            raise error
        failures += 1
        pause_s = retries.pause_s(failures, outcome.retry_after_s)
        if pause_s is None or time.monotonic() + pause_s > until:
            raise error
        call = replace(call, after_s=pause_s)


def got(kind: type[AnswerT], call: Call, retries: Retries) -> Plan[AnswerT]:
    reply = yield from exchange(call, retries)
    return read(kind, reply.content)


def wait(job_id: str, retries: Retries, timeout_s: float | None = None) -> Plan[Job]:
    """The job once it has succeeded."""
    until = math.inf if timeout_s is None else time.monotonic() + timeout_s
    after_s = 0.0
    while True:
        left_s = max(0.0, until - time.monotonic() - after_s)
        call = calls.look(job_id, int(min(left_s, LONG_POLL_S)))
        reply = yield from exchange(replace(call, after_s=after_s), retries, until)
        job = read(Job, reply.content)
        if job.is_final:
            return job.raise_for_state()
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise WaitTimeout(f"Job {job_id} is {job.state} after {timeout_s:g} s.")
        came_at_once = reply.elapsed_s < POLL_S
        after_s = min(left_s, reply.retry_after_s or POLL_S) if came_at_once else 0.0


def cancel(job_id: str, retries: Retries) -> Plan[Job]:
    """The job, now cancelled; also where an earlier try of this very call did it, unheard."""
    try:
        return (yield from got(Job, calls.cancel(job_id), retries))
    except WrongState as error:
        if not error.may_be_ours:
            raise
        job = yield from got(Job, calls.look(job_id), retries)
        if job.state != "cancelled":
            raise
        return job


def delete(job_id: str, retries: Retries) -> Plan[None]:
    """The service cancels a job that has not ended, and deletes it when it is told once more."""
    for _ in range(MOST_DELETES):
        try:
            reply = yield from exchange(calls.delete(job_id), retries)
        except WrongState:  # it ended at that very moment
            continue
        except NotThere as error:
            if error.may_be_ours and error.code == "job_deleted":
                return
            raise
        if reply.status == 204:
            return
    raise BadAnswer(f"Job {job_id} was to be deleted, and is still there.")


def pictures(job: Job | str, retries: Retries) -> Plan[list[bytes]]:
    """Those of the job, once it has succeeded."""
    if isinstance(job, str) or not job.is_final:
        job = yield from wait(calls.id_of(job), retries)
    job.raise_for_state()
    contents = []
    for n, image in enumerate(job.images):
        reply = yield from exchange(calls.picture(job.id, n), retries)
        contents.append(_whole(reply.content, image))
    return contents


def _whole(content: bytes, image: Image) -> bytes:
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise BadAnswer(f"What came for {image.url} is not the picture that the job names.")
    return content


class Listing:
    """Page after page of a list, up to so many jobs."""

    MOST_ON_A_PAGE = 100

    def __init__(self, filters: calls.Parameters, limit: int | None, retries: Retries):
        self._left = sys.maxsize if limit is None else limit
        self._retries = retries
        size = min(self._left, self.MOST_ON_A_PAGE)
        first = calls.get("/jobs", [*filters, ("limit", str(size))])
        self._next: Call | None = first if size > 0 else None

    @property
    def is_done(self) -> bool:
        return self._next is None

    def page(self) -> Plan[tuple[Job, ...]]:
        """The next jobs, of which there may be none."""
        assert self._next is not None
        page = yield from got(JobPage, self._next, self._retries)
        jobs = page.jobs[: self._left]
        self._left -= len(jobs)
        self._next = _link(page.next) if page.next is not None and self._left > 0 else None
        return jobs


def _link(path: str) -> Call:
    """The key goes nowhere but to the service itself."""
    if not path.startswith("/") or path.startswith("//"):
        raise BadAnswer(f"The list goes on at {path!r}, which is not of the service.")
    return calls.get(path)
