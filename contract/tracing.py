"""Whether traces are made: where a collector is named, by OpenTelemetry's own variables."""

import re
from typing import TYPE_CHECKING

from contract.errors import BadSetting
from contract.settings import CommonSettings

if TYPE_CHECKING:
    from contract.spans import Spans

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def open_spans(settings: CommonSettings, service: str) -> "Spans | None":
    """What makes the spans of this process; None where traces are off, and then nothing of
    OpenTelemetry's SDK is loaded.

    Args:
        service: the name of the process in traces, unless the environment has another.

    Raises:
        BadSetting: the SDK is not installed, or finds a fault in its own variables, or is to send
            what it does not.
    """
    if settings.traces_url is None:
        return None
    settings.require_known_export()
    try:
        from contract.spans import Spans

        return Spans(service, settings.traces_url)
    except ModuleNotFoundError as error:
        raise BadSetting(
            "OTEL_EXPORTER_OTLP_ENDPOINT: traces need OpenTelemetry's SDK; install the extra otel "
            "(pip install '.[otel]'), or unset it."
        ) from error
    except ValueError as error:
        raise BadSetting(f"One of the variables OTEL_…: {error}") from error


def trace_id_of(traceparent: object) -> str | None:
    """Of which trace a `traceparent` (W3C) is; None where it is none."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return found[1] if found is not None else None
