"""What a worker shows to Prometheus. No label ever holds a prompt or an id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from contract.errors import BadSetting
from contract.job import Timings
from worker.engine.picture import StepReport
from worker.speed import Speed

if TYPE_CHECKING:
    from worker.engine.conditioning import PromptEncoder
    from worker.engine.engine import Engine
    from worker.tables import TableCache

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
"""Buckets of a phase, from one quick step to a long queue."""

STEP_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


class _Caches(Collector):
    """Counters that the caches keep themselves."""

    def __init__(self, caches: Mapping[str, PromptEncoder | TableCache]):
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        hits = CounterMetricFamily("darkroom_cache_hits", "Found in the cache.", labels=["cache"])
        misses = CounterMetricFamily("darkroom_cache_misses", "Made anew.", labels=["cache"])
        for name, cache in self._caches.items():
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
        yield hits
        yield misses


class WorkerMetrics:
    def __init__(self, engine: Engine, tables: TableCache):
        self.registry = registry = CollectorRegistry()
        self._job = Histogram(
            "darkroom_job_seconds",
            "From acceptance until the last picture of the job was stored.",
            buckets=SECONDS,
            registry=registry,
        )
        self._phases = {
            phase: Histogram(f"darkroom_{phase}_seconds", text, buckets=SECONDS, registry=registry)
            for phase, text in (
                ("queue_wait", "From acceptance until a worker took the job."),
                ("batch_join", "Taken until the first picture joined a batch."),
                ("denoise", "From joining until the last denoising step of the job."),
                ("decode", "Latents to pixels."),
                ("encode", "Pixels to PNG, and into the store."),
            )
        }
        self._jobs = Counter("darkroom_jobs", "Jobs ended here.", ["outcome"], registry=registry)
        self._errors = Counter(
            "darkroom_job_errors", "Jobs failed here, by code.", ["code"], registry=registry
        )
        self._pictures = Counter("darkroom_pictures", "Pictures developed.", registry=registry)
        self._steps = Counter("darkroom_steps", "U-Net calls.", registry=registry)
        self._row_count = Counter("darkroom_rows", "Rows of all U-Net calls.", registry=registry)
        self._rows = Histogram(
            "darkroom_rows_per_step", "Rows of a U-Net call.", buckets=ROWS, registry=registry
        )
        self._step = Histogram(
            "darkroom_step_seconds",
            "One denoising step of a batch, decode apart.",
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self._load = Gauge(
            "darkroom_engine_rows",
            "Rows in the engine, running or waiting, in rows of the native size.",
            registry=registry,
        )
        self._speed = Gauge(
            "darkroom_row_steps_per_second",
            "Rows of U-Net calls in a second, as announced to the API.",
            registry=registry,
        )
        self.speed = Speed()
        registry.register(_Caches({"prompt": engine.prompts, "table": tables}))

    def stepped(self, report: StepReport, load: float) -> None:
        """
        Args:
            load: what is left in the engine, as `Engine.load` has it.
        """
        self._load.set(load)
        self._pictures.inc(len(report.developed))
        if report.rows == 0:
            return
        self.speed.stepped(report)
        self._speed.set(self.speed.row_steps_per_s or 0.0)
        self._steps.inc()
        self._row_count.inc(report.rows)
        self._rows.observe(report.rows)
        self._step.observe(report.step_s)

    def succeeded(self, timings: Timings) -> None:
        self._jobs.labels("succeeded").inc()
        self._job.observe(timings.total_s)
        for phase, seconds in (
            ("queue_wait", timings.queue_s),
            ("batch_join", timings.join_s),
            ("denoise", timings.denoise_s),
            ("decode", timings.decode_s),
            ("encode", timings.encode_s),
        ):
            self._phases[phase].observe(seconds)

    def failed(self, code: str) -> None:
        self._jobs.labels("failed").inc()
        self._errors.labels(code).inc()

    def cancelled(self) -> None:
        self._jobs.labels("cancelled").inc()

    def lost(self) -> None:
        self._jobs.labels("lost").inc()

    def serve(self, host: str, port: int) -> tuple[WSGIServer, int]:
        """Serves /metrics from a thread of its own and returns the server with its real port.

        Raises:
            BadSetting: the port is taken.
        """
        try:
            server, _ = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise BadSetting(
                f"DARKROOM_METRICS_PORT: {host}:{port} cannot be listened on: {error.strerror}."
            ) from error
        return server, server.server_port
