"""Who sees each request from its beginning to the end of its answer, and tells of it: in the log,
and as a span."""

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.seen import Seen
from app.under_way import begin_notes
from contract.tracing import trace_id_of

if TYPE_CHECKING:
    from app.request_spans import RequestSpans
    from contract.spans import Spans

logger = logging.getLogger(__name__)


class Witness:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, is_logged: bool, spans: "Spans | None"):
        """
        Args:
            spans: None where traces are off.
        """
        self._app = app
        self._is_logged = is_logged
        self._spans = _request_spans(spans) if spans is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        seen = Seen(scope, begin_notes())
        span = self._spans.begin(seen) if self._spans is not None else None

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            seen.status = HTTPStatus.INTERNAL_SERVER_ERROR  # answered further out, by Starlette
            raise
        finally:
            if span is not None and self._spans is not None:
                self._spans.end(span, seen)
            if self._is_logged:
                _log(seen, time.perf_counter() - began)


def _log(seen: Seen, seconds: float) -> None:
    sentence = "%(method)s %(path)s: %(status)s in %(seconds).4f s, for %(client)s"
    told: dict[str, Any] = {
        "method": seen.method,
        "path": seen.path,
        "route": seen.route,
        "status": seen.status,
        "seconds": round(seconds, 6),
        "client": seen.client,
    }
    for name, value in (
        ("key", seen.key_name),
        ("job_id", seen.job_id),
        ("trace_id", trace_id_of(seen.notes.traceparent)),
    ):
        if value is not None:
            told[name] = value
            sentence += f", {name} %({name})s"
    logger.info(sentence, told)


def _request_spans(spans: "Spans") -> "RequestSpans":
    from app.request_spans import RequestSpans  # which loads OpenTelemetry

    return RequestSpans(spans)
