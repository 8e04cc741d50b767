"""What a worker shows to Prometheus. No label ever holds a prompt or an id."""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from contract.build import build_labels
from contract.errors import BadSetting, GenerationError, StoreUnavailable
from contract.timeline import PHASES, Timeline
from worker.collectors import Caches, DeviceMemory, PlannedMemory
from worker.development import Development
from worker.engine.picture import StepReport
from worker.speed import Holding, Speed
from worker.start_phases import StartPhases

if TYPE_CHECKING:
    from worker.engine.engine import Engine
    from worker.tables import TableCache

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600)
"""Buckets of a phase, from one quick step to the longest that a job may wait unless told."""

STEP_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CLASSES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Of steps, by their rows; each holds those that the one before does not."""

OUTCOMES = ("succeeded", "failed", "cancelled", "lost")


class WorkerMetrics:
    def __init__(
        self,
        engine: Engine,
        tables: TableCache,
        revision: str = "",
        phases: StartPhases | None = None,
    ):
        disable_created_metrics()  # or each series has one beside it that says when it began
        self.registry = CollectorRegistry()
        self.speed = Speed()
        self._count_jobs()
        self._count_steps()
        self._count_device()
        self._tell_of_the_process(engine, revision)
        self._tell_of_the_start(phases or StartPhases())
        self.registry.register(Caches({"prompt": engine.prompts, "table": tables}))
        self.registry.register(DeviceMemory(engine.model.device))
        self.registry.register(PlannedMemory(engine.budget))

    def _count_jobs(self) -> None:
        registry = self.registry
        self._job = Histogram(
            "darkroom_job_seconds",
            "From the start of a request until its job was committed: the sum of its phases.",
            buckets=SECONDS,
            registry=registry,
        )
        phases = Histogram(
            "darkroom_phase_seconds",
            "A phase of a job that succeeded, on the way of the picture that was stored last.",
            ["phase"],
            buckets=SECONDS,
            registry=registry,
        )
        self._phases = {phase: phases.labels(phase) for phase in PHASES}
        jobs = Counter("darkroom_jobs", "Jobs ended here.", ["outcome"], registry=registry)
        self._jobs = {outcome: jobs.labels(outcome) for outcome in OUTCOMES}
        self._errors = Counter(
            "darkroom_job_errors", "Jobs failed here, by code.", ["code"], registry=registry
        )
        for branch in (GenerationError, StoreUnavailable):
            for error in branch.leaves():
                self._errors.labels(error.code)  # from 0, or no increase is seen in the first ones
        self._recovered = Counter(
            "darkroom_jobs_recovered",
            "Jobs that other workers let down and this one's sweep found.",
            registry=registry,
        )

    def _count_steps(self) -> None:
        registry = self.registry
        self._pictures = Counter("darkroom_pictures", "Pictures developed.", registry=registry)
        self._steps = Counter("darkroom_steps", "U-Net calls.", registry=registry)
        self._row_count = Counter("darkroom_rows", "Rows of all U-Net calls.", registry=registry)
        self._rows = Histogram(
            "darkroom_rows_per_step", "Rows of a U-Net call.", buckets=ROWS, registry=registry
        )
        self._occupancy = Histogram(
            "darkroom_batch_occupancy",
            "Rows of a U-Net call over the most that there may be of its size.",
            buckets=SHARES,
            registry=registry,
        )
        steps = Histogram(
            "darkroom_step_seconds",
            "One denoising step of a batch, by the smallest class that holds its rows.",
            ["rows"],
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self._step = [steps.labels(name) for name in (*CLASSES, "more")]
        self._resumed = Counter(
            "darkroom_row_steps_resumed",
            "Row-steps that pictures need not take again, as there was a checkpoint.",
            registry=registry,
        )
        self._wasted = Counter(
            "darkroom_row_steps_wasted", "Row-steps that brought no picture.", registry=registry
        )
        self._last_step = Gauge(
            "darkroom_last_step_timestamp_seconds",
            "When the loop last finished a step, or had nothing to do.",
            registry=registry,
        )

    def _count_device(self) -> None:
        registry = self.registry
        busy = Counter(
            "darkroom_device_busy_seconds",
            "Seconds that the device worked.",
            ["work"],
            registry=registry,
        )
        self._busy = {work: busy.labels(work) for work in ("text", "denoise", "decode")}
        self._used = Counter(
            "darkroom_device_seconds",
            "Seconds of the device, by the key whose jobs had them; counted when a job ends.",
            ["key"],
            registry=registry,
        )
        self._load = Gauge(
            "darkroom_engine_rows",
            "Rows in the engine, running or waiting, in rows of the native size.",
            registry=registry,
        )
        self._speed = Gauge(
            "darkroom_row_steps_per_second",
            "Rows of U-Net calls in a second, in rows of the native size, as announced.",
            registry=registry,
        )

    def _tell_of_the_process(self, engine: Engine, revision: str) -> None:
        build = Info("darkroom_build", "What runs here.", registry=self.registry)
        model = engine.model
        here = {"torch": version("torch"), "device": str(model.device), "model": model.name}
        build.info(build_labels("worker", revision) | here)
        ProcessCollector(registry=self.registry)

    def _tell_of_the_start(self, phases: StartPhases) -> None:
        start = Gauge(
            "darkroom_start_seconds",
            "How long the start of this worker took, by what it did.",
            ["phase"],
            registry=self.registry,
        )
        for phase, seconds in phases.seconds.items():
            start.labels(phase).set(seconds)

    def idled(self) -> None:
        """The loop has nothing to do, and is there."""
        self._last_step.set_to_current_time()

    def loaded(self, engine: Engine) -> None:
        """What is in the engine now."""
        self._load.set(engine.load)
        self.speed.holding = Holding.of(engine)

    def stepped(self, report: StepReport) -> None:
        self._last_step.set_to_current_time()
        self._pictures.inc(len(report.developed))
        self._resumed.inc(report.resumed)
        self._busy["text"].inc(report.text_s)
        self._busy["denoise"].inc(report.step_s)
        self._busy["decode"].inc(report.decode_s)
        if report.rows == 0:
            return
        self.speed.stepped(report)
        self._speed.set(self.speed.row_steps_per_s or 0.0)
        self._steps.inc()
        self._row_count.inc(report.rows)
        self._rows.observe(report.rows)
        self._occupancy.observe(report.rows / report.most_rows)
        self._step[bisect_left(CLASSES, report.rows)].observe(report.step_s)

    def succeeded(self, timeline: Timeline, key: str, development: Development) -> None:
        """
        Args:
            key: the name of whose the job is, as `KeyNames.label` has it.
        """
        for span in timeline.spans:
            self._phases[span.phase].observe(span.seconds)
        self._job.observe(timeline.total_s)
        self.speed.ended(timeline)
        self._used.labels(key).inc(development.uncounted().device_s)
        self._wasted.inc(development.forgone)
        self._jobs["succeeded"].inc()

    def failed(self, code: str, key: str, development: Development | None) -> None:
        self._errors.labels(code).inc()
        self._ended("failed", key, development)

    def cancelled(self, key: str, development: Development | None) -> None:
        self._ended("cancelled", key, development)

    def lost(self, key: str, development: Development | None) -> None:
        self._ended("lost", key, development)

    def _ended(self, outcome: str, key: str, development: Development | None) -> None:
        """Without pictures: all that was done for them is wasted."""
        if development is not None:
            self._wasted.inc(development.forgone)
            self.dropped(key, development)
        self._jobs[outcome].inc()

    def dropped(self, key: str, development: Development) -> None:
        """The rest of its pictures has left the engine, and there will be none of them."""
        rest = development.uncounted()
        self._used.labels(key).inc(rest.device_s)
        self._wasted.inc(rest.row_steps)

    def recovered(self) -> None:
        self._recovered.inc()

    def serve(self, host: str, port: int) -> tuple[WSGIServer, int]:
        """Serves /metrics from a thread of its own and returns the server with its real port.

        Raises:
            BadSetting: it cannot listen there.
        """
        with _listening_on(host, port):
            server, _ = start_http_server(port, addr=host, registry=self.registry)
        return server, server.server_port


def require_address(host: str, port: int) -> None:
    """That /metrics can listen there, before a model is loaded, which may take minutes.

    Raises:
        BadSetting: the port is taken or forbidden, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with _listening_on(host, port), socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


@contextmanager
def _listening_on(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadSetting(
            f"DARKROOM_METRICS_HOST and DARKROOM_METRICS_PORT: {host}:{port} cannot be listened "
            f"on: {error.strerror}."
        ) from error
