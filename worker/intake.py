"""From the queue to the engine: jobs are taken while there is room, and made ready aside."""

import logging
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

import redis
from rq import Queue

from contract import transactions
from contract.errors import DarkroomError, EngineFault
from contract.queue import job_request
from contract.transactions import Claim
from worker.development import Development, PictureKey
from worker.engine.engine import Engine
from worker.engine.sampler import SamplerTable
from worker.publish import Publisher
from worker.tables import TableCache

FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 2.0

logger = logging.getLogger(__name__)


class Intake:
    """Takes jobs between two steps without waiting for anything.

    What takes time is done aside: a table that is not remembered is read in a thread, and its job
    joins once it is there. A Redis that does not answer is left alone for a while.
    """

    def __init__(
        self,
        queue: Queue,
        worker_name: str,
        engine: Engine,
        tables: TableCache,
        publisher: Publisher,
        began: Callable[[Claim], None],
    ):
        self._queue = queue
        self._worker_name = worker_name
        self._engine = engine
        self._tables = tables
        self._publisher = publisher
        self._began = began
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._ready: SimpleQueue[tuple[Claim, Development, SamplerTable | DarkroomError]] = (
            SimpleQueue()
        )
        self._aside_rows = 0
        self._pause_s = FIRST_PAUSE_S
        self._resume_at = 0.0
        self.jobs: dict[str, tuple[Claim, Development]] = {}
        """The jobs that are here, oldest first, until their last picture is developed."""

    @property
    def is_empty_handed(self) -> bool:
        """Whether no job is being made ready aside."""
        return self._aside_rows == 0

    @property
    def has_room(self) -> bool:
        return self._engine.load + self._aside_rows < self._engine.budget.native_rows

    def take(self) -> None:
        """Takes waiting jobs while there is room."""
        while self.has_room and time.perf_counter() >= self._resume_at:
            try:
                claim = transactions.take(self._queue, self._worker_name)
            except redis.RedisError as error:
                self._pause(error)
                return
            self._pause_s = FIRST_PAUSE_S
            if claim is None:
                return
            self.accept(claim)

    def accept(self, claim: Claim) -> None:
        """Makes a claimed job ready to join."""
        self._began(claim)
        try:
            request = job_request(claim.job.kwargs)
        except DarkroomError as error:
            self._publisher.fail(claim, error)
            return
        development = Development(claim.job_id, request)
        self.jobs[claim.job_id] = claim, development
        table = self._tables.known(request.sampler, request.steps)
        if table is not None:
            self._join(development, table)
            return
        self._aside_rows += self._rows(development)
        future = self._aside.submit(self._tables.build, request.sampler, request.steps)
        future.add_done_callback(lambda done: self._ready.put((claim, development, _outcome(done))))

    def join_ready(self, timeout_s: float = 0.0) -> None:
        """Lets the jobs join that have become ready; waits up to `timeout_s` for a first one."""
        try:
            while True:
                claim, development, outcome = self._ready.get(
                    block=timeout_s > 0, timeout=timeout_s or None
                )
                timeout_s = 0.0
                self._aside_rows -= self._rows(development)
                if claim.job_id not in self.jobs:
                    continue  # cancelled meanwhile
                if isinstance(outcome, DarkroomError):
                    del self.jobs[claim.job_id]
                    self._publisher.fail(claim, outcome)
                else:
                    self._join(development, outcome)
        except Empty:
            return

    def forget(self, job_id: str) -> Claim | None:
        """Drops a job and its pictures; its neighbours do not notice."""
        held = self.jobs.pop(job_id, None)
        if held is None:
            return None
        claim, development = held
        self._engine.remove(development.keys)
        return claim

    def spoiled(self, key: Hashable) -> Claim | None:
        """The job whose picture failed, which fails with it; None where it is gone already."""
        return self.forget(key.job_id) if isinstance(key, PictureKey) else None

    def developed(self, key: Hashable) -> tuple[Claim, Development] | None:
        """The job of a picture that is done, which leaves with its last one."""
        if not isinstance(key, PictureKey) or key.job_id not in self.jobs:
            return None
        claim, development = self.jobs[key.job_id]
        development.undeveloped.discard(key.n)
        if not development.undeveloped:
            del self.jobs[key.job_id]
        return claim, development

    def shares(self) -> dict[str, float]:
        """How far each job is, from 0 to 1."""
        running: dict[Hashable, float] = self._engine.progress()
        return {job_id: job.share(running) for job_id, (_, job) in self.jobs.items()}

    def close(self) -> None:
        self._aside.shutdown(cancel_futures=True)

    def _join(self, development: Development, table: SamplerTable) -> None:
        for picture in development.pictures(table):
            self._engine.add(picture)

    @staticmethod
    def _rows(development: Development) -> int:
        """What a job weighs while it is made ready, as if it were guided and of native size."""
        return 2 * development.request.images

    def _pause(self, error: redis.RedisError) -> None:
        logger.warning("the queue cannot be asked for jobs: %s", error)
        self._resume_at = time.perf_counter() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)


def _outcome(done: Future[SamplerTable]) -> SamplerTable | DarkroomError:
    if done.cancelled():
        return EngineFault("The worker stops.")
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, DarkroomError):
        return error
    return EngineFault(f"The sampler's table could not be read: {error}")
