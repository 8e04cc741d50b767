"""What the SDK does when it has no answer: it asks for the same again, without a key of its own.

It says which try this is, and how long it waits for an answer. So a job whose client gave up
waiting is kept for a moment, and becomes the answer of its next try; and the job of a client that
hung up earlier is not wanted any more.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.access import Caller
from app.admission import Accepted
from app.compat.hangups import cancel
from app.services import Services
from contract import left_jobs
from contract.errors import ServiceError
from contract.idempotency import digest_of
from contract.job import JobRecord, JobState, read_job
from contract.request import GenerateRequest

TRY = "x-stainless-retry-count"
TIMEOUTS = ("x-stainless-read-timeout", "x-stainless-timeout")
"""In seconds: Python's SDK sends the one, JavaScript's the other."""

GRACE_S = 10.0
"""The longest pause between two tries is 8 s."""

TIMEOUT_SLACK_S = 1.0
"""The client's clock began before ours."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a client, which may be its second or third for the same."""

    is_repeated: bool
    gives_up_s: float  # seconds from its begin
    began_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Attempt":
        said = next((headers[name] for name in TIMEOUTS if name in headers), "")
        gives_up_s = float("inf")
        with suppress(ValueError):
            gives_up_s = float(said)
        return cls(headers.get(TRY, "0") != "0", gives_up_s)

    @property
    def has_run_out(self) -> bool:
        """Whether a client that hangs up now does so because it waited long enough."""
        return time.monotonic() - self.began_at >= self.gives_up_s - TIMEOUT_SLACK_S


async def retaken(
    services: Services, caller: Caller, asked: GenerateRequest, attempt: Attempt
) -> Accepted | None:
    """The job of the try before, where one was left."""
    if not attempt.is_repeated:
        return None
    owner = caller.owner
    job_id = await services.backend.call(left_jobs.take, owner, digest_of(asked))
    record = await services.backend.call(read_job, job_id, owner) if job_id is not None else None
    if record is None or record.state is JobState.CANCELLED:
        return None
    return Accepted(record, is_replay=True)


async def leave(services: Services, record: JobRecord, asked: GenerateRequest) -> None:
    """Lets the next try have the job; as far as Redis is there."""
    with suppress(ServiceError):
        await services.backend.call(left_jobs.leave, record.owner, digest_of(asked), record.id)


async def let_go(
    services: Services, record: JobRecord, asked: GenerateRequest, attempt: Attempt
) -> None:
    """Cancels a job whose client hung up, unless it comes back for it."""
    if attempt.has_run_out:
        await leave(services, record, asked)
        record = await services.endings.wait(record, GRACE_S)
        if record.state.is_final or not await _take_back(services, record, asked):
            return
    await cancel(services, record.id)


async def _take_back(services: Services, record: JobRecord, asked: GenerateRequest) -> bool:
    """Whether nobody took it meanwhile, as far as that is known."""
    with suppress(ServiceError):
        owner, digest = record.owner, digest_of(asked)
        return await services.backend.call(left_jobs.take_back, owner, digest, record.id)
    return False
