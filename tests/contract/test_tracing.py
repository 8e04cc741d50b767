import os
import subprocess
import sys
import time

import pytest
from opentelemetry.trace import SpanKind

from contract.errors import BadSetting
from contract.settings import CommonSettings, load_settings
from contract.spans import Spans, traceparent_of
from contract.tracing import open_spans, trace_id_of
from tests.address import free_port
from tests.collector import Collector
from tests.service import ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({ENDPOINT: ""}, None),
        ({ENDPOINT: "http://a:4318/"}, "http://a:4318/v1/traces"),
        ({ENDPOINT: "http://a:4318", TRACES_ENDPOINT: "http://b/in"}, "http://b/in"),
        ({ENDPOINT: "http://a:4318", "OTEL_SDK_DISABLED": "True"}, None),
        ({ENDPOINT: "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_traces_go_where_opentelemetrys_own_variables_say(
    environment: dict[str, str], url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert CommonSettings().traces_url == url


@pytest.mark.parametrize("url", ["collector:4317", "http://collector:99999", "http://"])
def test_an_endpoint_that_is_none_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, url)
    with pytest.raises(BadSetting, match=rf"^{ENDPOINT}: must be http://… or https://…$"):
        load_settings(CommonSettings)


def test_without_a_collector_nothing_of_the_sdk_is_loaded() -> None:
    """FastAPI itself loads OpenTelemetry's API, and redis-py the SDK's metrics where they are."""
    code = (
        "import sys; from app.main import create_app; from app.settings import AppSettings; "
        "from contract.settings import CommonSettings; from contract.tracing import open_spans; "
        "create_app(AppSettings()); assert open_spans(CommonSettings(), 'w') is None; "
        "import courier.main; loaded = sys.modules; "
        "print([n for n in loaded if n.startswith(('opentelemetry.sdk.trace', "
        "'opentelemetry.exporter', 'contract.spans', 'app.request_spans'))])"
    )
    assert python(code).stdout == "[]\n"


def test_a_collector_without_the_sdk_is_one_sentence() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None; "
        "sys.argv = ['darkroom', 'api', '--port', '0']; from darkroom.cli import main; main()"
    )
    run = python(code, **{ENDPOINT: "http://127.0.0.1:4318"})
    assert run.returncode == 2
    assert run.stderr == (
        f"darkroom: {ENDPOINT}: traces need OpenTelemetry's SDK; install the extra otel "
        "(pip install '.[otel]'), or unset it.\n"
    )


def test_a_fault_in_the_sdks_own_variables_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(BadSetting, match="OTEL_"):
        open_spans(CommonSettings(otlp_endpoint="http://127.0.0.1:4318"), "test")


def test_one_that_the_sdk_reads_as_it_is_loaded_too() -> None:
    code = "import sys; sys.argv = ['darkroom', 'api', '--port', '0']; "
    run = python(
        code + "from darkroom.cli import main; main()",
        **{ENDPOINT: "http://127.0.0.1:4318", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1"},
    )
    assert run.returncode == 2
    assert run.stderr.startswith("darkroom: One of the variables OTEL_…: OTEL_SPAN_ATTRIBUTE_COUNT")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "not sent by grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "not sent by http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "zipkin is not there"),
    ],
)
def test_what_would_be_sent_by_other_means_is_refused_where_there_are_traces(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert open_spans(CommonSettings(), "test") is None
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    with pytest.raises(BadSetting, match=rf"^{name}: .*{said}"):
        open_spans(CommonSettings(), "test")


def test_a_span_is_a_part_of_the_trace_that_it_is_given() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    with Collector() as collector:
        spans = Spans("test", f"{collector.url}/v1/traces")
        inner = spans.begin("inner", SpanKind.INTERNAL, {"n": 1}, parent, at_s=1.5)
        inner.end()
        spans.begin("outer", SpanKind.INTERNAL, {}, "nonsense").end()
        spans.close()
        told = collector.span("inner")
        assert (told.service, told.trace_id, told.parent_id) == ("test", "a" * 32, "b" * 16)
        assert told.began_ns == 1_500_000_000
        assert told.attributes == {"n": 1}
        assert trace_id_of(traceparent_of(inner)) == told.trace_id
        assert collector.span("outer").parent_id == ""


def test_a_trace_that_is_not_sampled_is_not_sent_and_still_handed_on() -> None:
    with Collector() as collector:
        spans = Spans("test", f"{collector.url}/v1/traces")
        inner = spans.begin("inner", SpanKind.INTERNAL, {}, f"00-{'a' * 32}-{'b' * 16}-00")
        inner.end()
        spans.close()
        assert traceparent_of(inner).startswith(f"00-{'a' * 32}-")
        assert traceparent_of(inner).endswith("-00")
        assert collector.spans("inner") == []


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    with Collector() as collector:
        spans = Spans("test", f"{collector.url}/v1/traces")
        spans.begin("one", SpanKind.INTERNAL, {}).end()
        spans.close()
        assert collector.span("one").service == "ours"


def test_a_collector_that_is_away_holds_up_no_stop() -> None:
    spans = Spans("test", f"http://127.0.0.1:{free_port()}/v1/traces")
    for _ in range(3000):  # more than are kept
        spans.begin("lost", SpanKind.INTERNAL, {}).end()
    began = time.perf_counter()
    spans.close()
    assert time.perf_counter() - began < 5.0  # by itself the SDK would try for 10
