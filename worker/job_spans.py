"""A span for each job that ended here, with one for each of its phases, made of its list of times:
the loop makes none. Imported only where there are to be any."""

from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from contract.request import JobRequest
from contract.spans import Spans, nanoseconds, traceparent_of
from worker.job_end import JobEnd


class JobSpans:
    def __init__(self, spans: Spans, *, with_prompts: bool):
        self._spans = spans
        self._with_prompts = with_prompts

    def tell(self, end: JobEnd) -> None:
        began = end.timeline.times[0]
        span = self._spans.begin(
            "job", SpanKind.CONSUMER, self._attributes(end), end.origin.traceparent, began
        )
        here = traceparent_of(span)
        for phase in end.timeline.spans:
            part = self._spans.begin(phase.phase, SpanKind.INTERNAL, {}, here, phase.began)
            part.end(nanoseconds(phase.ended))
        if end.outcome != "succeeded":
            code = end.error.code if end.error is not None else end.outcome
            span.set_attribute(error_attributes.ERROR_TYPE, code)
            span.set_status(StatusCode.ERROR)
        span.end(nanoseconds(end.at))

    def _attributes(self, end: JobEnd) -> dict[str, AttributeValue]:
        told: dict[str, AttributeValue] = {
            "darkroom.job.id": end.job_id,
            "darkroom.job.outcome": end.outcome,
            "darkroom.job.attempt": end.attempt,
        }
        if end.device_s is not None:
            told["darkroom.device_seconds"] = end.device_s
        return told | self._asked(end.request) if end.request is not None else told

    def _asked(self, request: JobRequest) -> dict[str, AttributeValue]:
        asked: dict[str, AttributeValue] = {
            "darkroom.model": request.model,
            "darkroom.sampler": request.sampler,
            "darkroom.steps": request.steps,
            "darkroom.width": request.width,
            "darkroom.height": request.height,
            "darkroom.images": request.images,
            "darkroom.priority": request.priority,
        }
        return asked | {"darkroom.prompt": request.prompt} if self._with_prompts else asked
