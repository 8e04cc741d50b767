"""Tells of each attempt to deliver a webhook: a line of the log, and a span of the trace that its
job is a part of. Never of the URL, which may hold secrets."""

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.tracing import trace_id_of

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from contract.spans import Spans

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tried:
    """An attempt; what became of it is filled in at its end."""

    webhook_id: str
    job_id: str
    event: str
    attempt: int  # 1 is the first
    traceparent: str | None
    began: float = field(default_factory=time.time)  # seconds since the epoch
    outcome: str = "failed"  # by a fault of ours; else delivered, postponed or given_up
    reason: str = ""


class Witness:
    """Safe for several threads."""

    def __init__(self, spans: "Spans | None"):
        """
        Args:
            spans: None where traces are off.
        """
        self._spans = spans

    def tell(self, tried: Tried) -> None:
        """Of an attempt that ends now."""
        told = {
            "webhook_id": tried.webhook_id,
            "job_id": tried.job_id,
            "event": tried.event,
            "attempt": tried.attempt,
            "outcome": tried.outcome,
            "reason": tried.reason,
            "seconds": round(time.time() - tried.began, 6),
        }
        sentence = "webhook %(webhook_id)s: %(event)s of job %(job_id)s %(outcome)s: %(reason)s"
        trace_id = trace_id_of(tried.traceparent)
        if trace_id is not None:
            told["trace_id"] = trace_id
            sentence += ", trace_id %(trace_id)s"
        logger.info(sentence, told)
        if self._spans is not None:
            _tell_span(self._spans, tried)

    def close(self) -> None:
        if self._spans is not None:
            self._spans.close()


def _tell_span(spans: "Spans", tried: Tried) -> None:
    from opentelemetry.trace import SpanKind, StatusCode  # only where traces are on

    attributes: dict[str, AttributeValue] = {
        "darkroom.webhook.id": tried.webhook_id,
        "darkroom.webhook.event": tried.event,
        "darkroom.webhook.attempt": tried.attempt,
        "darkroom.webhook.outcome": tried.outcome,
        "darkroom.job.id": tried.job_id,
    }
    span = spans.begin("webhook", SpanKind.CLIENT, attributes, tried.traceparent, tried.began)
    if tried.outcome != "delivered":
        span.set_status(StatusCode.ERROR, tried.reason)
    span.end()
