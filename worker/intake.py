"""From the queue to the engine: jobs are taken while there is room, and made ready aside."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import redis
from rq import Queue
from rq.executions import Execution

from contract import claims
from contract.checkpoints import read_checkpoint_of
from contract.connections import pause_s
from contract.errors import DarkroomError, EngineFault
from contract.origin import Origin
from contract.passed_jobs import PassedJobs
from contract.progress import JobProgress, progress_of
from contract.queue import job_request, require_in_time
from contract.request import JobRequest
from contract.resolution import check
from contract.transactions import Claim
from contract.version import require_known
from contract.workers import ModelCard, Pace
from worker.development import Development, PictureKey
from worker.engine.picture import Developed, Spoiled
from worker.publish import Publisher
from worker.room import Room

if TYPE_CHECKING:
    from worker.engine.engine import Engine
    from worker.engine.model import Shape
    from worker.engine.sampler import SamplerTable
    from worker.tables import TableCache

logger = logging.getLogger(__name__)

Arrival = tuple[Claim, Development | DarkroomError]
"""A job that is ours now, or why it is none that we understand."""

Held = tuple[Claim, Development]


class Intake:
    """Takes jobs between two steps without waiting for anything.

    What takes time is done aside: the queue is asked in one thread, and a table that is not
    remembered is read in another. A Redis that does not answer is left alone for a while.
    """

    def __init__(
        self,
        queue: Queue,
        worker_name: str,
        engine: Engine,
        tables: TableCache,
        publisher: Publisher,
        card: ModelCard,
        began: Callable[[Claim], None],
        lost: Callable[[Claim, Development], None],
        passed: PassedJobs,
    ):
        """
        Args:
            began: called, from a thread as well, for a job that is ours from now on.
            lost: called for one that another worker has had since.
        """
        self._queue = queue
        self._worker_name = worker_name
        self._engine = engine
        self._tables = tables
        self._publisher = publisher
        self._card = card
        self._passed = passed
        self._began, self._lost = began, lost
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._asked: Future[list[Arrival]] | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._ready: SimpleQueue[tuple[Claim, Development, SamplerTable | DarkroomError]] = (
            SimpleQueue()
        )
        self._unready = 0
        self._failures = 0  # in a row
        self._resume_at = 0.0
        self.jobs: dict[str, Held] = {}
        """The jobs that are here, oldest first, until their last picture is developed."""

    @property
    def is_empty_handed(self) -> bool:
        """Whether nothing is on its way that will still bring the engine a job."""
        return self._unready == 0 and self._asked is None

    def take(self, wait_s: float = 0.0) -> None:
        """Lets in the jobs that have come; waits up to `wait_s` where they are on their way."""
        if self._asked is not None and futures.wait([self._asked], wait_s).done:
            asked, self._asked = self._asked, None
            self._let_in(asked)

    def ask(self) -> None:
        """Has the queue asked for jobs that fit, unless it is asked already, or a suspect is here
        that wants no company."""
        if any(claim.is_suspect for claim, _ in self.jobs.values()):
            return
        if self._asked is None and time.perf_counter() >= self._resume_at:
            self._asked = self._asking.submit(self._ask, self._room())

    def accept(self, claim: Claim) -> None:
        """Makes a claimed job ready to join."""
        self._accept(*self._arrival(claim))

    def join_ready(self, wait_s: float = 0.0) -> None:
        """Lets the jobs join that have become ready; waits up to `wait_s` for a first one."""
        try:
            while True:
                claim, development, outcome = self._ready.get(
                    block=wait_s > 0, timeout=wait_s or None
                )
                wait_s = 0.0
                self._unready -= 1
                held = self.jobs.get(claim.job_id)
                if held is None or held[0] is not claim:
                    continue  # cancelled meanwhile, or taken from us and come back to us
                if isinstance(outcome, DarkroomError):
                    del self.jobs[claim.job_id]
                    self._publisher.fail(claim, outcome)
                else:
                    self._join(development, outcome)
        except Empty:
            return

    def forget(self, job_id: str) -> Held | None:
        """Drops a job and its pictures; its neighbours do not notice."""
        held = self.jobs.pop(job_id, None)
        if held is not None:
            _, development = held
            development.usage.add(self._engine.remove(development.keys))
        return held

    def drop(self, execution: Execution) -> Held | None:
        """Forgets a job, if it is still this execution's."""
        held = self.jobs.get(str(execution.job_id))
        is_same = held is not None and held[0].execution.id == execution.id
        return self.forget(str(execution.job_id)) if is_same else None

    def drop_given_up(self) -> list[Held]:
        """Forgets the jobs that will have no pictures, since one of theirs cannot be stored."""
        given_up = [id for id, (_, development) in self.jobs.items() if development.is_given_up]
        return [held for id in given_up if (held := self.forget(id)) is not None]

    def spoiled(self, picture: Spoiled) -> Held | None:
        """The job whose picture failed, which fails with it; None where it is gone already."""
        key = picture.key
        held = self.forget(key.job_id) if isinstance(key, PictureKey) else None
        if held is not None:
            held[1].usage.add(picture.usage)
        return held

    def holder(self, key: Hashable) -> Held | None:
        """The job of a picture; None where it is gone already."""
        return self.jobs.get(key.job_id) if isinstance(key, PictureKey) else None

    def denoised(self, keys: Iterable[Hashable]) -> None:
        """These pictures are only to be decoded, and take no room."""
        for key in keys:
            held = self.holder(key)
            if held is not None:
                assert isinstance(key, PictureKey)
                held[1].note_denoised(key)

    def developed(self, picture: Developed) -> Held | None:
        """The job of a picture that is done, which leaves with its last one."""
        key = picture.key
        if not isinstance(key, PictureKey) or key.job_id not in self.jobs:
            return None
        claim, development = self.jobs[key.job_id]
        development.note_developed(picture)
        if not development.undeveloped:
            del self.jobs[key.job_id]
        return claim, development

    def progress(self, pace: Pace | None) -> dict[tuple[str, str], JobProgress]:
        """How far each job is that has joined, by its id and that of its execution.

        Args:
            pace: how the worker gets on, where that is known.
        """
        running = self._engine.progress()
        step_s, aside_s = None, 0.0
        if pace is not None:
            width = min(pace.rows, self._engine.budget.native_rows)
            step_s, aside_s = pace.round_s(width), pace.aside_s
        return {
            (job_id, claim.execution.id): development.progress(running, step_s, aside_s)
            for job_id, (claim, development) in self.jobs.items()
            if development.has_pictures
        }

    def close(self) -> None:
        """Asks for nothing more; what has been claimed already is among `jobs` then. Does not
        wait for a table that is being read: nobody here will use it."""
        self._asking.shutdown()
        self.take()
        self._reading.shutdown(wait=False, cancel_futures=True)

    def _room(self) -> Room:
        room = Room(self._engine.budget, self._engine.beside())
        ahead = self._engine.rows_ahead()
        for _, development in self.jobs.values():
            self._fill(room, development, ahead)
        return room

    def _fill(self, room: Room, development: Development, ahead: Mapping[Hashable, int]) -> None:
        request = development.request
        room.fill(self._shape(request), development.rows(ahead), request.is_urgent)

    def _shape(self, request: JobRequest) -> Shape:
        return self._engine.model.shape(request.width, request.height)

    def _ask(self, room: Room) -> list[Arrival]:
        """In the thread: claims jobs until the next one does not fit, or none waits."""

        def fits(request: JobRequest, is_suspect: bool) -> bool:
            """A suspect waits in the queue for a worker that has nothing else to do."""
            if is_suspect:
                return False
            shape, rows = self._shape(request), request.most_rows
            return room.fits(shape, rows, request.is_urgent, request.evaluations)

        arrivals: list[Arrival] = []
        try:
            while (claim := self._take(fits)) is not None:
                claim, development = self._arrival(claim)
                arrivals.append((claim, development))
                if isinstance(development, Development):
                    self._fill(room, development, {})
            self._failures = 0
        except Exception as error:  # what was claimed before it must not be lost
            self._pause(error)
        return arrivals

    def _take(self, fits: claims.Fits) -> Claim | None:
        return claims.take(self._queue, self._worker_name, fits, self._passed)

    def _let_in(self, asked: Future[list[Arrival]]) -> None:
        for arrival in asked.result():
            self._accept(*arrival)

    def _arrival(self, claim: Claim) -> Arrival:
        """Whatever stands in the record, it harms no other job. From here on its lease is kept."""
        self._began(claim)
        try:
            require_known(claim.job.kwargs, self._passed.ability.known)
            request = job_request(claim.job.kwargs)
            begun, told = self._begun(claim)
            if not begun:  # what is begun is finished
                require_in_time(claim.job.kwargs)
            check(request, self._card)
            origin = Origin.of(claim.job.kwargs)
            return claim, Development(claim.job_id, request, begun, origin, told)
        except DarkroomError as error:
            return claim, error
        except Exception as error:
            logger.exception("job %s cannot be taken", claim.job_id)
            return claim, EngineFault(f"The job could not be taken: {error}")

    def _begun(self, claim: Claim) -> tuple[Mapping[int, bytes], float]:
        """What another worker has left of a job, and how far it said that it was."""
        connection, job_id = self._queue.connection, claim.job_id
        try:
            begun = read_checkpoint_of(connection, job_id).pictures
            return begun, progress_of(connection, job_id).share if claim.attempt > 1 else 0.0
        except redis.RedisError as error:
            logger.warning("job %s starts over: %s", job_id, error)
            return {}, 0.0

    def _accept(self, claim: Claim, development: Development | DarkroomError) -> None:
        former = self.forget(claim.job_id)
        if former is not None:  # a sweep took it from us for dead, and it came back to us
            self._lost(*former)
        if isinstance(development, DarkroomError):
            self._publisher.fail(claim, development)
            return
        self.jobs[claim.job_id] = claim, development
        request = development.request
        table = self._tables.known(request.sampler, request.steps)
        if table is not None:
            self._join(development, table)
            return
        self._unready += 1
        future = self._reading.submit(self._tables.build, request.sampler, request.steps)
        future.add_done_callback(lambda done: self._ready.put((claim, development, _outcome(done))))

    def _join(self, development: Development, table: SamplerTable) -> None:
        for picture in development.pictures(table, self._engine):
            self._engine.add(picture)

    def _pause(self, error: Exception) -> None:
        is_outage = isinstance(error, redis.RedisError)
        logger.warning(
            "the queue cannot be asked for jobs: %s", error, exc_info=None if is_outage else error
        )
        self._failures += 1
        self._resume_at = time.perf_counter() + pause_s(self._failures)


def _outcome(done: Future[SamplerTable]) -> SamplerTable | DarkroomError:
    if done.cancelled():
        return EngineFault("The worker stops.")
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, DarkroomError):
        return error
    return EngineFault(f"The sampler's table could not be read: {error}")
