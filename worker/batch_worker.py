"""RQ's worker, made to develop many jobs at a time.

RQ's own loop runs one job at a time and quits when Redis is away. This worker keeps RQ's records,
commands and signals, and puts the engine's loop in place of RQ's.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import redis
from redis import Redis
from redis.client import Pipeline, PubSub, PubSubWorkerThread
from rq import Queue
from rq.command import parse_payload
from rq.executions import Execution
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import BaseWorker, WorkerStatus

from contract import claims, endings
from contract.ability import Ability
from contract.errors import JobEnded, JobNotFound, WorkerLost
from contract.passed_jobs import PassedJobs
from contract.pictures.opening import open_store
from contract.progress import JobProgress
from contract.transactions import Claim
from contract.version import CONTRACT_VERSION
from contract.workers import WORKER_TTL_S, ModelCard, WorkerCard, withdraw
from worker.checkpoints import Checkpointer
from worker.development import Development
from worker.engine.picture import StepReport
from worker.heartbeat import Heartbeat
from worker.intake import Intake
from worker.job_ends import JobEnds
from worker.key_names import KeyNames
from worker.metrics import WorkerMetrics
from worker.previews import PreviewWriter
from worker.publish import Publisher
from worker.settings import WorkerSettings
from worker.stop_flag import StopFlag
from worker.sweeper import Sweeper
from worker.watchdog import Watchdog

if TYPE_CHECKING:
    from worker.engine.engine import Engine
    from worker.tables import TableCache

IDLE_WAIT_S = 0.5  # an idle worker blocks in Redis this long; a stop is noticed within it
READY_WAIT_S = 0.05  # an engine without work waits this long for what is made ready aside
LISTEN_S = 0.2  # a stop waits this long for the thread that hears commands
PAUSE_S = 1.0  # between two attempts to reach a Redis that is away
DRAIN_LIMIT_S = 25  # a stop that takes longer hangs: it says where, and the process ends
SAME_SIGNAL_S = 1.0  # a second signal within this time is an echo of the first

Count = Callable[[str, Development], None]
Tell = Callable[[Claim, Development], None]

logger = logging.getLogger(__name__)


class BatchWorker(BaseWorker):
    """Takes jobs of one model's queue while the engine has room, and ends each by itself."""

    death_penalty_class = TimerDeathPenalty  # RQ's other one works in the main thread only
    connection_timeout = 2  # seconds; RQ would raise the pool's to 415
    contract_version = CONTRACT_VERSION  # jobs beyond it are left to newer workers

    def __init__(
        self,
        queue: Queue,
        engine: Engine,
        tables: TableCache,
        metrics: WorkerMetrics,
        settings: WorkerSettings,
        worker_card: WorkerCard,
        model_card: ModelCard,
        ends: JobEnds | None = None,
    ):
        """
        Args:
            ends: tells of the jobs that end here.
        """
        # RQ refuses a name that a dead worker's record still holds, hence the suffix.
        name = f"{settings.worker_name}.{uuid4().hex[:8]}"
        connection: Redis = queue.connection
        super().__init__(
            [queue],
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
        )
        self.engine = engine
        self._queue = queue
        self._card = worker_card
        self._metrics = metrics
        self._ends = ends or JobEnds()
        self._key_names = KeyNames(connection)
        self._gone: SimpleQueue[tuple[Execution, Count, Tell]] = SimpleQueue()
        """Executions whose job is no longer ours, and how that is counted and told."""
        self._stopping = StopFlag()
        self._stopped_at = 0.0
        self._passed = PassedJobs(queue, Ability(self.contract_version, model_card.max_side))
        self._popped_in_vain = False
        self._is_refused = False  # by Redis, at the last look for a job
        store = open_store(settings, connection)
        self._publisher = Publisher(
            connection,
            store,
            metrics,
            self._ends,
            self._key_names,
            settings.encode_threads,
            self._ended,
            settings.result_ttl_s,
        )
        self._previews = PreviewWriter(connection)
        self._intake = Intake(
            queue,
            name,
            engine,
            tables,
            self._publisher,
            model_card,
            self._began,
            self._lost,
            self._passed,
        )
        self._checkpointer = Checkpointer(
            connection, engine, settings.checkpoint_s, settings.checkpoint_mb * 1_000_000
        )
        self._watchdog = Watchdog(settings.step_timeout_s)
        self._most_behind = 2 * math.ceil(engine.budget.native_rows)
        self._heartbeat = Heartbeat(
            self,
            self._announced,
            model_card,
            self._was_cancelled,
            self._was_lost,
            self._watchdog,
        )
        self._sweeper = Sweeper(
            queue, lambda: self._heartbeat.is_regular, metrics.recovered, self._given_up
        )

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Works until a signal or RQ's `shutdown` command, then gives back what is not done.

        Takes RQ's arguments and uses none of them. Returns True: the end was an orderly one.
        """
        self._install_signal_handlers()
        self._register()
        self.set_state(WorkerStatus.IDLE)
        self._heartbeat.start()
        self._sweeper.start()
        try:
            while not self._stopping.is_set():
                claim = self._wait_for_job()
                if claim is not None:
                    with self._watchdog.watching():
                        self._intake.accept(claim)
                    self._develop()
        except BaseException:
            self._abandon()
            raise
        else:
            self._hand_back()
        finally:
            faulthandler.cancel_dump_traceback_later()
        return True

    def _register(self) -> None:
        """As any RQ worker does at its start; but an outage is waited out, now that the model is
        loaded."""
        while not self._stopping.is_set():
            try:
                self.connection.delete(self.key)  # of an attempt whose answer was lost
                self.bootstrap(logging_level="WARNING")  # below it RQ logs each sweep
            except redis.RedisError as error:
                logger.warning("worker %s cannot register: %s", self.name, error)
                self._stopping.wait(PAUSE_S)
            else:
                return

    @property
    def _takes_jobs(self) -> bool:
        """Not while `rq suspend` asks for a pause, nor while pictures wait for their store."""
        return not self._heartbeat.is_suspended and self._publisher.behind < self._most_behind

    def _wait_for_job(self) -> Claim | None:
        """The next job, waiting up to IDLE_WAIT_S for it."""
        self._metrics.idled()
        if not self._takes_jobs:
            self._stopping.wait(IDLE_WAIT_S)
            return None
        queue = self._queue
        try:
            if self._popped_in_vain or self._passed:
                return self._look()
            wait_s = cast("int", IDLE_WAIT_S)  # redis-py's annotation knows no fractions
            popped = self.connection.blmove(
                queue.key, queue.intermediate_queue_key, wait_s, "LEFT", "RIGHT"
            )
            self._is_refused = False
            if popped is None:
                return None
            claim = claims.claim(queue, popped, self.name, self._passed.ability)
            self._popped_in_vain = claim is None
            return claim
        except redis.RedisError as error:
            if not self._is_refused:
                logger.warning("the queue cannot be asked for jobs: %s", error)
            self._is_refused = True
            self._stopping.wait(PAUSE_S)
            return None

    def _look(self) -> Claim | None:
        """The next job behind those for others: to pop them and put them back would only keep them
        from these."""
        claim = claims.take(self._queue, self.name, passed=self._passed)
        self._popped_in_vain = False
        if claim is None and self._passed:
            self._stopping.wait(IDLE_WAIT_S)
        return claim

    def _develop(self) -> None:
        """The loop, until there is nothing to do or a stop is asked for. It never waits for Redis:
        threads beside it do."""
        self.set_state(WorkerStatus.BUSY)
        while self._has_work and not self._stopping.is_set():
            with self._watchdog.watching():
                self._admit()
                self._metrics.loaded(self.engine)
                report = self.engine.step()
                self._retire(report)  # while a GPU is at the next step
        self._metrics.loaded(self.engine)
        self.set_state(WorkerStatus.IDLE)

    @property
    def _has_work(self) -> bool:
        return not (self.engine.is_idle and self._intake.is_empty_handed)

    def _admit(self) -> None:
        """Jobs that arrived join, jobs that are no longer ours go."""
        self._forget_gone()
        self._intake.take(READY_WAIT_S if self.engine.is_idle else 0.0)
        self._intake.join_ready(READY_WAIT_S if self.engine.is_idle else 0.0)
        if self._has_work and self._takes_jobs:
            self._intake.ask()

    def _retire(self, report: StepReport) -> None:
        """What is finished goes to the publisher's threads."""
        self._metrics.stepped(report)
        self._intake.denoised(report.denoised)
        for spoiled in report.spoiled:
            held = self._intake.spoiled(spoiled)
            if held is not None:
                claim, development = held
                self._publisher.fail(claim, spoiled.error, development)
        for preview in report.previews:
            showing = self._intake.holder(preview.key)
            if showing is not None:
                self._previews.write(*showing, preview)
        for developed in report.developed:
            held = self._intake.developed(developed)
            if held is not None:
                self._publisher.publish(*held, developed)
        self._publisher.note_progress(self._progress)
        self._checkpointer.note(self._intake.jobs)

    def _progress(self) -> Mapping[tuple[str, str], JobProgress]:
        return self._intake.progress(self._metrics.speed.pace)

    def _forget_gone(self) -> None:
        for claim, development in self._intake.drop_given_up():
            self._metrics.dropped(self._key_names.label(claim.owner), development)
        while True:
            try:
                execution, count, tell = self._gone.get_nowait()
            except Empty:
                return
            held = self._intake.drop(execution)
            if held is not None:
                claim, development = held
                self._ended(claim)
                count(self._key_names.label(claim.owner), development)
                tell(claim, development)

    def _was_cancelled(self, execution: Execution) -> None:
        self._gone.put((execution, self._metrics.cancelled, self._ends.cancelled))

    def _was_lost(self, execution: Execution) -> None:
        self._gone.put((execution, self._metrics.lost, self._ends.lost))

    def _announced(self) -> WorkerCard:
        speed = self._metrics.speed
        told = {"row_steps_per_s": speed.row_steps_per_s, "pace": speed.pace}
        return self._card.model_copy(update=told)

    def _began(self, claim: Claim) -> None:
        self.executions[claim.execution.id] = claim.execution
        self._key_names.learn(claim.owner)

    def _ended(self, claim: Claim) -> None:
        self.executions.pop(claim.execution.id, None)

    def _given_up(self, claim: Claim, error: WorkerLost) -> None:
        self._metrics.failed(error.code, "", None)
        self._ends.failed(claim, None, error)

    def _lost(self, claim: Claim, development: Development) -> None:
        self._ended(claim)
        self._metrics.lost(self._key_names.label(claim.owner), development)
        self._ends.lost(claim, development)

    def _hand_back(self) -> None:
        """Puts what is not done back at the front of the queue, and finishes what is being
        published: a store may be slow, and other workers need not wait for that."""
        self._intake.close()
        with self._watchdog.watching():
            self._checkpointer.close(self._intake.jobs)
        unfinished = [claim for claim, _ in self._intake.jobs.values()]
        try:
            claims.requeue(unfinished)
            logger.info("worker %s stops; %d jobs handed back", self.name, len(unfinished))
        except redis.RedisError as error:
            logger.error("what was not done waits for a sweep: %s", error)
        self._previews.close()
        self._publisher.close()
        self._leave()

    def _abandon(self) -> None:
        """After an error that no picture could be blamed for. Nothing is handed back: the leases
        run out, and each job has had a worker die, so that the one that did it cannot do it to
        every worker."""
        logger.critical("the loop failed; its jobs wait for a sweep")
        faulthandler.dump_traceback_later(DRAIN_LIMIT_S, exit=True)
        self._intake.close()
        self._previews.close()
        self._publisher.close()
        self._leave()

    def _leave(self) -> None:
        self._sweeper.stop()
        self._heartbeat.stop()
        try:
            withdraw(self.connection, self._card)
            self.teardown()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            logger.error("stopped without a word to Redis: %s", error)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Remembered only; the heartbeat writes it, so that the loop does not wait for Redis."""
        self._state = state

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """The first signal asks for an orderly stop after the current step, a second ends it all:
        what was in flight then comes back through the sweep."""
        now = time.monotonic()
        if not self._stopping.is_set():
            self._stopped_at = now
            faulthandler.dump_traceback_later(DRAIN_LIMIT_S, exit=True)
            self._stopping.set()
        elif now - self._stopped_at > SAME_SIGNAL_S:
            os._exit(128 + signum)

    def _install_signal_handlers(self) -> None:
        if current_thread() is main_thread():
            signal.signal(signal.SIGINT, self.request_stop)
            signal.signal(signal.SIGTERM, self.request_stop)

    def subscribe(self) -> None:
        """As RQ does it, but for the thread's 60 s in one call, which every stop would wait for."""
        self.pubsub = self.connection.pubsub()  # type: ignore[no-untyped-call]
        self.pubsub.subscribe(**{self.pubsub_channel_name: self.handle_payload})
        self.pubsub_thread = self.pubsub.run_in_thread(  # type: ignore[assignment]
            sleep_time=LISTEN_S, daemon=True, exception_handler=self._pubsub_exception_handler
        )

    def handle_payload(self, message: dict[str, Any]) -> None:
        """RQ's commands. `stop-job` and `stop-execution` find any job of the batch."""
        payload = parse_payload(message)
        if payload["command"] in ("stop-job", "stop-execution"):
            self._stop_job(payload["job_id"])
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call]

    def _stop_job(self, job_id: str) -> None:
        """Ours come with the job cancelled already; from RQ's tools the command is all there is."""
        try:
            endings.cancel(self.connection, job_id)
        except (JobEnded, JobNotFound):
            pass
        except redis.RedisError as error:
            logger.warning("job %s: could not be cancelled: %s", job_id, error)
            return
        for execution in list(self.executions.values()):
            if execution.job_id == job_id:
                self._was_cancelled(execution)

    def _pubsub_exception_handler(
        self, exc: Exception, pubsub: PubSub, pubsub_thread: PubSubWorkerThread
    ) -> None:
        """RQ's lets the thread die on a timeout, and the worker is deaf from then on."""
        logger.warning("no commands are heard: %s", exc)
        time.sleep(PAUSE_S)  # in the thread that hears commands, also while the worker stops
