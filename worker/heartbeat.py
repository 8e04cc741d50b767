"""Signs of life, from a thread of their own: a step may take longer than a lease."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

import redis
from redis.client import Pipeline
from rq import Queue, worker_registration
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import now, utcformat
from rq.worker import BaseWorker

from contract import leases
from contract.claims import EXECUTION_TTL_S
from contract.workers import WORKER_TTL_S, ModelCard, WorkerCard, announce
from worker.watchdog import Watchdog

INTERVAL_S = 1.0
REGULAR_S = 3.0  # far below what a lease lasts

logger = logging.getLogger(__name__)


class Heartbeat:
    """Every second: says in RQ's records and in ours that the worker lives, keeps its leases, and
    looks for jobs that were cancelled or taken from us without word of it reaching us."""

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
        self._healthy = True
        self._beaten_at = float("-inf")
        self.is_suspended = False
        """Whether `rq suspend` asks all workers to take no more jobs."""

    def start(self) -> None:
        """The first beat comes before anything else, so that a suspension holds from the start."""
        self._attempt()
        self._thread.start()

    @property
    def is_regular(self) -> bool:
        """Whether the last beat is not long ago: after an outage of Redis a beat has to come before
        a sweep, so that the sweep knows of it."""
        return time.monotonic() - self._beaten_at < REGULAR_S

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
        lost = self._keep_leases(executions)
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
            if status == JobStatus.CANCELED.encode():  # which takes its lease away as well
                self._cancelled(execution)
            elif execution.id in lost and execution.id in worker.executions:
                self._lost(execution)
        card = self._model_card.model_copy(update={"seen_at": time.time()})
        announce(worker.connection, self._worker_card(), card)

    def _keep_leases(self, executions: Sequence[Execution]) -> set[str]:
        """The ids of those executions whose lease is gone."""
        lost = set(leases.renew(self._queue, executions))
        self._beaten_at = time.monotonic()
        return lost

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
