"""What a job's arguments tell of the request that made it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from contract.tracing import trace_id_of


@dataclass(frozen=True, slots=True)
class Origin:
    received: float | None = None  # seconds since the epoch: when the API began to read it
    traceparent: str | None = None  # of its span, as the W3C has it, where traces are made

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """What is missing, or cannot be read, is None: the job can do without."""
        received, traceparent = arguments.get("received"), arguments.get("traceparent")
        is_time = isinstance(received, float) and math.isfinite(received)
        is_traced = trace_id_of(traceparent) is not None
        return cls(received if is_time else None, traceparent if is_traced else None)

    @property
    def arguments(self) -> dict[str, Any]:
        told = {"received": self.received, "traceparent": self.traceparent}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def trace_id(self) -> str | None:
        return trace_id_of(self.traceparent)


UNKNOWN = Origin()
