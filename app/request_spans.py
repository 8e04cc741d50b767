"""A span for each request, by OpenTelemetry's conventions for HTTP servers. Imported only where
there are to be any."""

from http import HTTPStatus

from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    url_attributes,
)
from opentelemetry.trace import Span, SpanKind, StatusCode

from app.seen import Seen
from contract.spans import Attributes, Spans, traceparent_of

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines, for ever."""

JOB_ID = "darkroom.job.id"
KEY_NAME = "darkroom.key.name"
TRACEPARENT = b"traceparent"


class RequestSpans:
    def __init__(self, spans: Spans):
        self._spans = spans

    def begin(self, seen: Seen) -> Span | None:
        """Notes the span as the one that whatever is done for the request is a part of."""
        scope = seen.scope
        if scope["path"] in UNTRACED:
            return None
        attributes = {
            http_attributes.HTTP_REQUEST_METHOD: seen.method,
            url_attributes.URL_SCHEME: scope["scheme"],
            url_attributes.URL_PATH: seen.path,
        }
        parent = next((value for name, value in scope["headers"] if name == TRACEPARENT), b"")
        span = self._spans.begin(seen.method, SpanKind.SERVER, attributes, parent.decode("latin-1"))
        seen.notes.traceparent = traceparent_of(span)
        return span

    def end(self, span: Span, seen: Seen) -> None:
        if seen.route is not None:
            span.update_name(f"{seen.method} {seen.route}")
        told = {
            http_attributes.HTTP_ROUTE: seen.route,
            http_attributes.HTTP_RESPONSE_STATUS_CODE: seen.status,
            client_attributes.CLIENT_ADDRESS: seen.client,
            KEY_NAME: seen.key_name,
            JOB_ID: seen.job_id,
        }
        known: Attributes = {name: value for name, value in told.items() if value is not None}
        span.set_attributes(known)
        if seen.status is None or seen.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_attribute(error_attributes.ERROR_TYPE, str(seen.status or "no_answer"))
            span.set_status(StatusCode.ERROR)
        span.end()
