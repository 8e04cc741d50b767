"""A collector of OpenTelemetry: takes traces over HTTP and keeps them for a test to look at."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.waiting import until

ERROR = 2  # a span's status


@dataclass(frozen=True)
class Told:
    """A span as it arrived."""

    service: str
    name: str
    kind: int  # 2: server, 3: client, 5: consumer
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    status: int
    attributes: dict[str, Any]

    @property
    def nanoseconds(self) -> int:
        return self.ended_ns - self.began_ns


class Collector:
    def __init__(self) -> None:
        self.told: list[Told] = []
        """All that came, in the order in which it came."""
        handler = type("Handler", (_Handler,), {"told": self.told})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to send its spans here, without delay."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "20"}

    def spans(self, name: str, **attributes: object) -> list[Told]:
        """Those of this name that have these attributes, where a `__` stands for a dot."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        told = [span for span in list(self.told) if span.name == name]
        return [span for span in told if wanted.items() <= span.attributes.items()]

    def span(self, name: str, **attributes: object) -> Told:
        """The only one, once it has come."""
        (found,) = until(lambda: self.spans(name, **attributes))
        return found

    def children(self, parent: Told) -> list[Told]:
        """Of the same trace, by their beginning."""
        told = [span for span in list(self.told) if span.trace_id == parent.trace_id]
        found = [span for span in told if span.parent_id == parent.span_id]
        return sorted(found, key=lambda span: (span.began_ns, span.ended_ns))

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    told: list[Told]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(part.resource.attributes)["service.name"]
            for scope in part.scope_spans:
                self.told += [_told(service, span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def _told(service: str, span: Any) -> Told:
    return Told(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        status=span.status.code,
        attributes=_values(span.attributes),
    )


def _values(pairs: "list[KeyValue]") -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
