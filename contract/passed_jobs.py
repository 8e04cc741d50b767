"""Jobs that a worker leaves where they stand, since others can do them and it cannot."""

import time
from dataclasses import dataclass
from typing import Any

from rq import Queue
from rq.job import Job

from contract.ability import Ability
from contract.errors import MalformedJob
from contract.job import restore_job
from contract.queue import queue_text
from contract.transactions import is_suspect, read_hash

PAGE = 1000  # ids that are read at a time
MOST_READ = 100
"""Jobs for others that one look gets to know; the next look knows them and goes on behind them."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits, and where."""

    member: bytes | str
    at: int  # in the queue's list
    kwargs: Any  # of the task; none where the record cannot be read
    is_suspect: bool


class PassedJobs:
    """Those at the front of one queue. They are remembered as long as they stand there and are left
    to others, since what a job asks never changes: who looks again reads their ids and no more."""

    def __init__(self, queue: Queue, ability: Ability | None = None):
        self.ability = ability or Ability()
        self._queue = queue
        self._passed: dict[bytes | str, float] = {}  # and until when

    def __bool__(self) -> bool:
        """Whether there were some at the last look."""
        return bool(self._passed)

    def first_behind(self) -> Waiting | None:
        """The first job that is none of them; None where there is none, or not seen yet."""
        passed: dict[bytes | str, float] = {}
        read, before, self._passed = 0, self._passed, passed
        now = time.time()
        at, size = 0, PAGE if before else 1
        while page := self._queue.connection.lrange(self._queue.key, at, at + size - 1):
            for n, member in enumerate(page):
                until = before.get(member, 0.0)
                if until <= now:
                    waiting = self._read(member, at + n)
                    read += 1
                    until = self.ability.leaves_until(waiting.kwargs)
                    if until <= now:
                        return waiting
                passed[member] = until
                if read == MOST_READ:
                    return None
            if len(page) < size:
                return None
            at, size = at + len(page), PAGE
        return None

    def _read(self, member: bytes | str, at: int) -> Waiting:
        connection, job_id = self._queue.connection, queue_text(member)
        raw = read_hash(connection, Job.key_for(job_id))
        try:
            kwargs = restore_job(connection, job_id, raw).kwargs
        except MalformedJob:
            kwargs = {}
        return Waiting(member, at, kwargs, is_suspect(raw))
