"""How a job ended here, as it is told."""

import time
from dataclasses import dataclass
from typing import Any, Self

from contract import identity
from contract.errors import DarkroomError, MalformedJob
from contract.origin import Origin
from contract.queue import job_request
from contract.request import JobRequest
from contract.timeline import Timeline
from contract.transactions import Claim


@dataclass(frozen=True, slots=True)
class JobEnd:
    job_id: str
    outcome: str  # succeeded, failed, cancelled or lost
    attempt: int  # 1 where no worker had it before
    origin: Origin
    request: JobRequest | None  # None where it cannot be read
    timeline: Timeline  # as far as it is known: of a job without pictures until it was taken
    at: float  # seconds since the epoch
    error: DarkroomError | None = None
    device_s: float | None = None  # its share of the device's time here; None where it had none

    @classmethod
    def of(
        cls,
        claim: Claim,
        outcome: str,
        timeline: Timeline | None = None,
        error: DarkroomError | None = None,
        device_s: float | None = None,
    ) -> Self:
        origin = Origin.of(claim.job.kwargs)
        known = timeline or _until_taken(claim, origin)
        at = max(time.time(), known.times[-1]) if timeline is None else known.times[-1]
        return cls(
            job_id=claim.job_id,
            outcome=outcome,
            attempt=claim.attempt,
            origin=origin,
            request=_request(claim),
            timeline=known,
            at=at,
            error=error,
            device_s=device_s,
        )

    @property
    def seconds(self) -> float:
        return self.at - self.timeline.times[0]

    def told(self, *, with_prompt: bool) -> dict[str, Any]:
        """What a line of the log has of it, as far as it is known."""
        request, error = self.request, self.error
        told: dict[str, Any] = {
            "job_id": self.job_id,
            "outcome": self.outcome,
            "seconds": round(self.seconds, 6),
            "attempt": self.attempt,
        }
        if self.origin.trace_id is not None:
            told["trace_id"] = self.origin.trace_id
        if error is not None:
            told |= {"code": error.code, "detail": str(error)}
        if self.device_s is not None:
            told["device_s"] = round(self.device_s, 6)
        if request is not None:
            told |= {"model": request.model, "images": request.images}
            if with_prompt:
                told["prompt"] = request.prompt
        phases = {f"{span.phase}_s": round(span.seconds, 6) for span in self.timeline.spans}
        return told | phases


def _until_taken(claim: Claim, origin: Origin) -> Timeline:
    taken = (claim.job.started_at or claim.execution.created_at).timestamp()
    accepted = identity.created_at(claim.job_id) or taken
    return Timeline.of((origin.received or accepted, accepted, taken))


def _request(claim: Claim) -> JobRequest | None:
    try:
        return job_request(claim.job.kwargs)
    except MalformedJob:
        return None
