"""What the API shows to Prometheus. Labels are bounded: never a prompt, an id or a raw path."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import CODE_KEY
from contract import queue
from contract.connections import translated
from contract.errors import DarkroomError, ServiceError
from contract.workers import known_models, live_workers

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # the label of whatever is not ours
SERVER_ERROR = 500


class _Queues(Collector):
    """Read from Redis when asked for; without Redis there is nothing to say but that."""

    def __init__(self, connection: Redis):
        self._connection = connection

    def describe(self) -> list[Metric]:
        return []  # else registering would ask Redis

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("darkroom_redis_up", "1 where Redis answers.")
        try:
            with translated():
                yield from self._families()
            up.add_metric([], 1)
        except ServiceError:
            up.add_metric([], 0)
        yield up

    def _families(self) -> list[Metric]:
        depth = GaugeMetricFamily("darkroom_queue_depth", "Jobs that wait.", labels=["model"])
        oldest = GaugeMetricFamily(
            "darkroom_queue_oldest_wait_seconds",
            "How long the job at the head of the queue has waited.",
            labels=["model"],
        )
        live = GaugeMetricFamily("darkroom_live_workers", "Live workers.", labels=["model"])
        holders = [worker.model for worker in live_workers(self._connection)]
        for model in known_models(self._connection):
            waiting = queue.model_queue(self._connection, model)
            depth.add_metric([model], queue.depth(waiting))
            oldest.add_metric([model], queue.oldest_wait_s(waiting))
            live.add_metric([model], holders.count(model))
        return [depth, oldest, live]


class AppMetrics:
    def __init__(self, connection: Redis):
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "darkroom_http_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "darkroom_http_request_seconds",
            "From the request's head to the end of the answer; includes `Prefer: wait`.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "darkroom_http_errors", "Problems answered, by code.", ["code"], registry=registry
        )
        self._accepted = Counter(
            "darkroom_jobs_accepted", "Jobs put on the queue.", ["model"], registry=registry
        )
        registry.register(_Queues(connection))

    def accepted(self, model: str) -> None:
        self._accepted.labels(model).inc()

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", OTHER)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        code = scope.get(CODE_KEY)
        if code is not None:
            self._errors.labels(code).inc()

    def exposition(self) -> bytes:
        """Prometheus' text format. Asks Redis, so it may take as long as that may."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    def __init__(self, app: ASGIApp, metrics: AppMetrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = SERVER_ERROR
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            scope[CODE_KEY] = DarkroomError.code  # answered further out
            raise
        finally:
            self._metrics.answered(scope, status, time.perf_counter() - began)
