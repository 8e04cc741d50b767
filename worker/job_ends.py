"""Tells of the jobs that end here: a line of the log each, and a span of the request's trace."""

import logging
from typing import TYPE_CHECKING

from contract.errors import DarkroomError
from contract.timeline import Timeline
from contract.transactions import Claim
from worker.development import Development
from worker.job_end import JobEnd

if TYPE_CHECKING:
    from contract.spans import Spans
    from worker.job_spans import JobSpans

logger = logging.getLogger(__name__)


class JobEnds:
    """Safe for several threads."""

    def __init__(self, spans: "Spans | None" = None, *, with_prompts: bool = False):
        """
        Args:
            spans: None where traces are off.
            with_prompts: whether prompts are told as well.
        """
        self._with_prompts = with_prompts
        self._spans = _job_spans(spans, with_prompts) if spans is not None else None

    def succeeded(self, claim: Claim, development: Development, timeline: Timeline) -> None:
        self._tell(claim, development, "succeeded", timeline)

    def failed(self, claim: Claim, development: Development | None, error: DarkroomError) -> None:
        self._tell(claim, development, "failed", error=error)

    def cancelled(self, claim: Claim, development: Development | None) -> None:
        self._tell(claim, development, "cancelled")

    def lost(self, claim: Claim, development: Development | None) -> None:
        """Another worker has it now, or will have it, and tells of its end."""
        self._tell(claim, development, "lost")

    def _tell(
        self,
        claim: Claim,
        development: Development | None,
        outcome: str,
        timeline: Timeline | None = None,
        error: DarkroomError | None = None,
    ) -> None:
        """Never raises: the job has ended, whatever becomes of the word of it."""
        try:
            device_s = development.usage.device_s if development is not None else None
            end = JobEnd.of(claim, outcome, timeline, error, device_s)
            self._log(end)
            if self._spans is not None and outcome != "lost":
                self._spans.tell(end)
        except Exception:
            logger.exception("the end of job %s is not told", claim.job_id)

    def _log(self, end: JobEnd) -> None:
        told = end.told(with_prompt=self._with_prompts)
        sentence = "job %(job_id)s: %(outcome)s in %(seconds).3f s"
        if end.error is not None:
            sentence += ": %(code)s: %(detail)s"
        if "trace_id" in told:
            sentence += ", trace_id %(trace_id)s"
        if "prompt" in told:
            sentence += ", prompt %(prompt)s"
        logger.log(logging.INFO if end.error is None else logging.WARNING, sentence, told)


def _job_spans(spans: "Spans", with_prompts: bool) -> "JobSpans":
    from worker.job_spans import JobSpans  # which loads OpenTelemetry

    return JobSpans(spans, with_prompts=with_prompts)
