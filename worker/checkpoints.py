"""Keeps what is half developed where another worker finds it: as often as it costs next to nothing.

The engine's loop only copies the batch from the device; a thread does the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis
from redis import Redis

from contract.checkpoints import JobCheckpoint, write_checkpoints
from contract.transactions import Claim
from worker.development import Development, PictureKey

if TYPE_CHECKING:
    from worker.engine.checkpoint import Checkpoint
    from worker.engine.engine import Engine

MOST_COST = 0.01
"""Share of the loop's time that copying may take."""

FIRST_AFTER_S = 0.1
"""A job that has no checkpoint yet gets its first one this soon, if MOST_COST allows it: until then
a worker's death looks like the job's doing."""

logger = logging.getLogger(__name__)

Jobs = Mapping[str, tuple[Claim, Development]]


@dataclass(slots=True)
class _State:
    """One job at one moment."""

    execution_id: str
    fingerprint: bytes
    steps: int
    pictures: dict[int, Checkpoint] = field(default_factory=dict)


class Checkpointer:
    """Writes checkpoints of the running pictures, at least `interval_s` apart; 0 for none."""

    def __init__(self, connection: Redis, engine: Engine, interval_s: float, most_bytes: int):
        self._connection = connection
        self._engine = engine
        self._interval_s = interval_s
        self._most_bytes = most_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing: Future[None] | None = None
        self._next_at = 0.0
        self._taken_at = 0.0
        self._taken_s = 0.0  # by the last copy
        self._is_refused = False
        self._known: set[str] = set()
        """The jobs that have had a checkpoint."""
        self._bytes: dict[str, int] = {}
        """Of the checkpoints in Redis of the jobs that were here at the last write."""

    def note(self, jobs: Jobs) -> None:
        """Has checkpoints written if it is time for some; never waits for Redis."""
        busy = self._writing is not None and not self._writing.done()
        if self._interval_s == 0 or busy or not (due := self._due(jobs)):
            return
        self._taken_at = time.perf_counter()
        states = _states(due, self._engine.checkpoints())
        self._taken_s = time.perf_counter() - self._taken_at
        rest_s = self._taken_s / MOST_COST
        if due is jobs:
            self._known = set(states)
            self._next_at = self._taken_at + max(self._interval_s, rest_s)
        else:
            self._known |= set(states)
            self._next_at = max(self._next_at, self._taken_at + rest_s)
        self._writing = self._pool.submit(self._write, states, set(jobs))

    def _due(self, jobs: Jobs) -> Jobs:
        """All of them now and then, and meanwhile those that are new: where many jobs come, the
        others would be written again with each of them."""
        now = time.perf_counter()
        if now >= self._next_at:
            return jobs
        if now < self._taken_at + max(FIRST_AFTER_S, self._taken_s / MOST_COST):
            return {}
        return {
            job_id: held
            for job_id, held in jobs.items()
            if held[1].fingerprint and job_id not in self._known
        }

    def close(self, jobs: Jobs) -> None:
        """Writes a last one, for whoever goes on with the jobs."""
        try:
            if self._interval_s > 0:
                states = _states(jobs, self._engine.checkpoints())
                self._pool.submit(self._write, states, set(jobs))
        except Exception:  # of the device; the jobs go on from the checkpoint before
            logger.exception("no last checkpoint")
        self._pool.shutdown()

    def _write(self, states: Mapping[str, _State], here: Collection[str]) -> None:
        """
        Args:
            here: the jobs that are here, those among them that are not written now.
        """
        try:
            self._bytes = {
                job_id: size
                for job_id, size in self._bytes.items()
                if job_id in here and job_id not in states
            }
            write_checkpoints(self._connection, self._packed(states))
            self._is_refused = False
        except redis.RedisError as error:
            if not self._is_refused:  # twice a second otherwise, for as long as Redis is full
                logger.warning("no checkpoints until Redis takes them: %s", error)
            self._is_refused = True
        except Exception:
            logger.exception("no checkpoint")

    def _packed(self, states: Mapping[str, _State]) -> dict[tuple[str, str], JobCheckpoint]:
        """The oldest jobs first, up to the bound."""
        packed = {}
        room = self._most_bytes - sum(self._bytes.values())
        for job_id, state in states.items():
            pictures = {
                n: picture.to_bytes(state.fingerprint) for n, picture in state.pictures.items()
            }
            size = sum(len(content) for content in pictures.values())
            if size > room:
                break
            room -= size
            self._bytes[job_id] = size
            packed[job_id, state.execution_id] = JobCheckpoint(state.steps, pictures)
        return packed


def _states(jobs: Jobs, pictures: Mapping[Hashable, Checkpoint]) -> dict[str, _State]:
    """The jobs that have begun."""
    states = {
        job_id: _State(
            claim.execution.id,
            development.fingerprint,
            development.steps_done(pictures),
            dict(development.ends),
        )
        for job_id, (claim, development) in jobs.items()
        if development.fingerprint
    }
    for key, picture in pictures.items():
        if isinstance(key, PictureKey) and key.job_id in states:
            states[key.job_id].pictures[key.n] = picture
    return states
