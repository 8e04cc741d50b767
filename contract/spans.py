"""Spans, as OpenTelemetry's SDK makes and exports them. Imported only where there are to be any:
the SDK reads the rest of its settings (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`) from the environment by
itself, as everybody who has a collector expects of it."""

from collections.abc import Mapping
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

UNNAMED = "unknown_service"  # the SDK's word where the environment names none
FLUSH_S = 1.0
"""How long a stop waits for the collector: a worker has two seconds for all of its end."""

_W3C = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"

Attributes = Mapping[str, AttributeValue]


class Spans:
    """Makes spans and sends them to the collector, many at a time and from a thread. One that is
    away costs memory for 2,048 spans (`OTEL_BSP_MAX_QUEUE_SIZE`) and no time."""

    def __init__(self, service: str, url: str):
        """
        Args:
            service: its name, unless the environment has another.
            url: of the collector, with the path.

        Raises:
            ValueError: one of the SDK's own variables is wrong.
        """
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith(UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("darkroom")

    def begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: str | None = None,
        at_s: float | None = None,
    ) -> Span:
        """A span that has begun; whoever asked for it ends it.

        Args:
            parent: the `traceparent` that it is a part of; it begins a trace of its own where that
                is missing or none.
            at_s: when it began, in seconds since the epoch; now where that is left out.
        """
        return self._tracer.start_span(
            name,
            _W3C.extract({TRACEPARENT: parent} if parent else {}, Context()),
            kind,
            attributes,
            start_time=None if at_s is None else nanoseconds(at_s),
        )

    def close(self) -> None:
        """Sends what has not been sent, for at most FLUSH_S."""
        last = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(FLUSH_S)


def traceparent_of(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
