"""What the API shows to Prometheus: its own figures and the queue's."""

import time
from functools import cache
from http import HTTPStatus

import redis
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.queue_collector import QueueCollector
from contract.build import build_labels
from contract.errors import DarkroomError, GenerationError, JobError, RequestError, ServiceError

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REACH_A_CALLER = (RequestError, JobError, ServiceError, GenerationError)
FAULTS = ("500", "503")
UNKNOWN_ROUTE = "unknown"
RECEIVED = "darkroom.received"
"""Where a request's scope says when it came, in seconds since the epoch."""


class AppMetrics:
    def __init__(self, connection: redis.Redis, revision: str = ""):
        disable_created_metrics()  # or each series has one beside it that says when it began
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "darkroom_http_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "darkroom_http_request_seconds",
            "From a request until its answer began, waiting for jobs included.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "darkroom_http_errors", "Problem documents sent.", ["code"], registry=registry
        )
        for kind in REACH_A_CALLER:  # from 0, or Prometheus sees no increase in the first ones
            for error in kind.leaves():
                self._errors.labels(error.code)
        self._errors.labels(DarkroomError.code)
        self._accepted = Counter(
            "darkroom_jobs_accepted", "Jobs put into the queue.", ["model"], registry=registry
        )
        self._reused = Counter(
            "darkroom_jobs_reused",
            "Jobs answered from a finished one.",
            ["model"],
            registry=registry,
        )
        build = Info("darkroom_build", "What runs here.", registry=registry)
        build.info(build_labels("api", revision))
        ProcessCollector(registry=registry)
        registry.register(QueueCollector(connection))

        self._counted = cache(self._begin_counting)  # prometheus_client looks each one up slowly
        self._timed = cache(self._seconds.labels)
        self._accepted_of = cache(self._accepted.labels)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        self._counted(route, method, str(status)).inc()
        self._timed(route).observe(seconds)

    def _begin_counting(self, route: str, method: str, status: str) -> Counter:
        """Faults of a route are counted from 0, before there are any: see the codes."""
        for fault in FAULTS:
            self._requests.labels(route, method, fault)
        return self._requests.labels(route, method, status)

    def failed(self, code: str) -> None:
        self._errors.labels(code).inc()

    def accepted(self, model: str) -> None:
        self._accepted_of(model).inc()

    def reused(self, model: str) -> None:
        self._reused.labels(model).inc()


class RequestMetrics:
    """ASGI middleware that counts requests by the template of their route, never by their path. A
    HEAD comes here as the GET that it is answered as."""

    METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

    def __init__(self, app: ASGIApp, metrics: AppMetrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[RECEIVED] = time.time()
        began = time.perf_counter()

        is_begun = False

        def count(status: int) -> None:
            nonlocal is_begun
            is_begun = True
            method = scope["method"] if scope["method"] in self.METHODS else "other"
            route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
            self._metrics.answered(route, method, status, time.perf_counter() - began)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            if not is_begun:  # it is answered further out, by Starlette itself
                count(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
