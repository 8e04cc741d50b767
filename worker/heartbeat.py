"""Signs of life, from a thread of their own: a step may take longer than a lease."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread

import redis
from redis.client import Pipeline
from rq import Queue, worker_registration
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.registry import clean_registries
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import now, utcformat
from rq.worker import BaseWorker

from contract import leases
from contract.claims import EXECUTION_TTL_S
from contract.sweep import sweep
from contract.workers import WORKER_TTL_S, ModelCard, WorkerCard, announce
from worker.watchdog import Watchdog

INTERVAL_S = 1.0
SWEEP_INTERVAL_S = 3.0
MAINTENANCE_INTERVAL_S = 30.0
MAINTENANCE_LOCK_S = 25

logger = logging.getLogger(__name__)


class Heartbeat:
    """Every second: says in RQ's records and in ours that the worker lives, keeps its leases, and
    looks for jobs that were cancelled or taken from us without word of it reaching us. Every three
    seconds what dead workers left behind goes back into the queue."""

    def __init__(
        self,
        worker: BaseWorker,
        worker_card: Callable[[], WorkerCard],
        model_card: ModelCard,
        cancelled: Callable[[Execution], None],
        lost: Callable[[Execution], None],
        watchdog: Watchdog,
    ):
        self._worker = worker
        self._queue: Queue = worker.queues[0]
        self._worker_card = worker_card
        self._model_card = model_card
        self._cancelled, self._lost = cancelled, lost
        self._watchdog = watchdog
        self._stop = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self._swept_at = 0.0
        self._maintained_at = 0.0
        self._healthy = True
        self.is_suspended = False
        """Whether `rq suspend` asks all workers to take no more jobs."""

    def start(self) -> None:
        """The first beat comes before anything else, so that a suspension holds from the start."""
        self._attempt()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread: a dead worker must not be registered again."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._watchdog.look()
            self._attempt()

    def _attempt(self) -> None:
        try:
            self._beat()
            self._sweep()
            self._maintain()
            self._healthy = True
        except redis.RedisError as error:
            if self._healthy:
                logger.warning("no heartbeat: %s", error)
            self._healthy = False
        except Exception:
            logger.exception("no heartbeat")

    def _beat(self) -> None:
        worker = self._worker
        executions = list(worker.executions.values())
        self._keep_leases(executions)
        pipeline = worker.connection.pipeline(transaction=False)
        self._register(pipeline)
        for execution in executions:
            job = Job(execution.job_id, connection=worker.connection, serializer=worker.serializer)
            job.origin = self._queue.name
            # Only what is there already is kept: an ended execution must not come back.
            pipeline.expire(execution.key, EXECUTION_TTL_S)
            job.started_job_registry.add_execution(
                execution, pipeline=pipeline, ttl=EXECUTION_TTL_S, xx=True
            )
            ExecutionRegistry(execution.job_id, pipeline).add(
                execution, ttl=EXECUTION_TTL_S, pipeline=pipeline, xx=True
            )
        pipeline.exists(WORKERS_SUSPENDED)
        for execution in executions:
            pipeline.hget(Job.key_for(execution.job_id), "status")
        results = pipeline.execute()
        statuses = results[len(results) - len(executions) :]
        self.is_suspended = bool(results[len(results) - len(executions) - 1])
        for execution, status in zip(executions, statuses, strict=True):
            if status == JobStatus.CANCELED.encode():
                self._cancelled(execution)
        card = self._model_card.model_copy(update={"seen_at": time.time()})
        announce(worker.connection, self._worker_card(), card)

    def _keep_leases(self, executions: Sequence[Execution]) -> None:
        lost = set(leases.renew(self._queue, executions))
        for execution in executions:
            if execution.id in lost and execution.id in self._worker.executions:
                self._lost(execution)

    def _register(self, pipeline: Pipeline) -> None:
        """The whole record each time, so that one that expired in an outage comes back whole."""
        worker = self._worker
        worker.last_heartbeat = now()
        fields = worker.serialize() | {
            "state": worker.get_state(),
            "last_heartbeat": utcformat(worker.last_heartbeat),
        }
        pipeline.hset(worker.key, mapping=fields)
        pipeline.expire(worker.key, WORKER_TTL_S)
        pipeline.expire(worker.executions_key, EXECUTION_TTL_S)
        worker_registration.register(worker, pipeline)

    def _sweep(self) -> None:
        """What other workers let down goes back into the queue."""
        if time.monotonic() - self._swept_at >= SWEEP_INTERVAL_S:
            self._swept_at = time.monotonic()
            for job_id in sweep(self._queue):
                logger.info("job %s is back in the queue", job_id)

    def _maintain(self) -> None:
        """RQ's sweep, by one worker at a time. Its own lock would outlive a sweep that failed or
        was killed by a quarter of an hour, and nobody's orphans would be found meanwhile."""
        if time.monotonic() - self._maintained_at < MAINTENANCE_INTERVAL_S:
            return
        if leases.is_guarded(self._queue):
            return  # RQ's leases may have run out as well, and are being renewed
        self._maintained_at = time.monotonic()
        queue = self._queue
        if self._worker.connection.set(
            f"darkroom:sweep:{queue.name}", 1, nx=True, ex=MAINTENANCE_LOCK_S
        ):
            for clean in (
                partial(clean_registries, queue),
                partial(worker_registration.clean_worker_registry, queue),
            ):
                try:
                    clean()
                except Exception:  # one bad record must not hide the others
                    logger.exception("a part of the sweep failed")
