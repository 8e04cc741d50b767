"""RQ's worker, made to deliver several webhooks at a time: one that waits for a slow receiver must
not hold up the others. RQ's own would also quit when Redis is away."""

import logging
import os
import signal
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Semaphore, current_thread, main_thread
from types import FrameType
from typing import Any, cast
from uuid import uuid4

import redis
from rq import Queue, worker_registration
from rq.executions import Execution
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.utils import as_text, now
from rq.worker import BaseWorker, WorkerStatus

TICK_S = 1.0  # what is due is looked for this often, and a stop is noticed within it
SWEEP_S = 60.0  # RQ's own sweep, which finds what dead couriers left behind
PAUSE_S = 1.0  # between two attempts to reach a Redis that is away
GRACE_S = 10.0  # a stop waits this long for receivers to answer
WORKER_TTL_S = 75

logger = logging.getLogger(__name__)


class CourierWorker(BaseWorker):
    """Takes webhooks from their queue while there are threads, and puts those back whose pause is
    over. Each is an RQ job with RQ's own records, retries and all."""

    death_penalty_class = TimerDeathPenalty  # RQ's other one works in the main thread only
    connection_timeout = 3  # seconds; RQ would raise the pool's to 415

    def __init__(self, queue: Queue, threads: int):
        name = f"webhooks-{socket.gethostname()}-{os.getpid()}.{uuid4().hex[:8]}"
        super().__init__(
            [queue],
            name=name,
            connection=queue.connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
        )
        self._queue = queue
        self._scheduler = RQScheduler([queue], queue.connection, serializer=JSONSerializer)
        self._slots = Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._running: set[Future[None]] = set()
        self._ticked_at = self._swept_at = float("-inf")
        self._is_away = False  # Redis, at the last attempt

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Works until a signal. Takes RQ's arguments and uses none of them."""
        self.bootstrap(logging_level="WARNING")
        self._install_signal_handlers()
        self.set_state(WorkerStatus.BUSY)
        while not self._stop_requested:
            try:
                self._tick()
                self._take()
                self._is_away = False
            except redis.RedisError as error:
                if not self._is_away:
                    logger.warning("the queue of webhooks cannot be reached: %s", error)
                self._is_away = True
                time.sleep(PAUSE_S)
            except Exception:  # one bad record must not hold up the others
                logger.exception("a webhook cannot be read")
                time.sleep(PAUSE_S)
        self._leave()
        return True

    def _tick(self) -> None:
        """What is to be done now and then."""
        if time.monotonic() < self._ticked_at + TICK_S:
            return
        self._ticked_at = time.monotonic()
        self._register()
        self._scheduler.acquire_locks()  # no two put the same webhook back
        self._scheduler.enqueue_scheduled_jobs()
        if time.monotonic() > self._swept_at + SWEEP_S:
            self._swept_at = time.monotonic()
            self.clean_registries()  # type: ignore[no-untyped-call]

    def _register(self) -> None:
        """The whole record each time, so that one that expired in an outage comes back whole."""
        self.last_heartbeat = now()
        fields = self.serialize() | {"state": self.get_state()}
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=fields)
            pipeline.expire(self.key, WORKER_TTL_S)
            worker_registration.register(self, pipeline)
            pipeline.execute()

    def _take(self) -> None:
        """Begins the next delivery, waiting up to a tick for a thread and up to a tick for it."""
        if not self._slots.acquire(timeout=TICK_S):
            return
        is_begun = False
        try:
            job = self._next()
            if job is not None:
                self.execute_job(job, self._queue)
                is_begun = True
        finally:
            if not is_begun:
                self._slots.release()

    def _next(self) -> Job | None:
        wait_s = cast("int", TICK_S)
        here, taken = self._queue.key, self._queue.intermediate_queue_key
        popped = self.connection.blmove(here, taken, wait_s, "LEFT", "RIGHT")
        if popped is None:
            return None
        job = self._queue.fetch_job(as_text(cast("bytes", popped)))
        if job is None:
            self.connection.lrem(taken, 1, cast("str", popped))
        return job

    def execute_job(self, job: Job, queue: Queue) -> None:
        """In a thread of its own."""
        execution = self.prepare_execution(job)
        future = self._pool.submit(self._perform, job, queue, execution)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    def _perform(self, job: Job, queue: Queue, execution: Execution) -> None:
        try:
            self.perform_job(job, queue, execution)
        except Exception as error:  # RQ's sweep finds it, and it may be sent once more
            logger.warning("webhook %s: what became of it is not written: %s", job.id, error)
        finally:
            self._slots.release()

    def _leave(self) -> None:
        """What is not answered by then is left to the sweep of another, and sent once more."""
        wait(set(self._running), GRACE_S)
        self._pool.shutdown(wait=False)
        try:
            self._scheduler.release_locks()
            self.teardown()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            logger.error("stopped without a word to Redis: %s", error)

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Takes no more. A second signal changes nothing: the end is near."""
        self._stop_requested = True

    def _install_signal_handlers(self) -> None:
        if current_thread() is main_thread():
            signal.signal(signal.SIGINT, self.request_stop)
            signal.signal(signal.SIGTERM, self.request_stop)

    def subscribe(self) -> None:
        """Hears no commands of RQ: they could but stop it, as a signal does."""
