"""How far running jobs are, as their workers say a few times a second.

Where a job is now stands in a key of its own, for whoever polls, and never in the job's hash, whose
every change would break a transaction that watches it. Each new step is an event as well.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from redis import Redis
from rq.job import Job

from contract.events import KIND_FIELD, MOST_EVENTS, NEWS_CHANNEL, EventKind, events_key
from contract.leases import EXECUTION_FIELD

PROGRESS_TTL_S = 120

STEP_FIELD, LEFT_FIELD = "step", "left_s"
_SHARE_FIELD = "share"

# Only for the execution that holds the job: after its end there is no progress. A history that has
# expired is not begun anew.
_WRITE = f"""
if redis.call('HGET', KEYS[1], '{EXECUTION_FIELD}') ~= ARGV[1] then return end
local before = redis.call('HGET', KEYS[2], '{STEP_FIELD}')
redis.call('HSET', KEYS[2], '{_SHARE_FIELD}', ARGV[2], '{STEP_FIELD}', ARGV[3],
    '{LEFT_FIELD}', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
if before ~= ARGV[3] then
    redis.call('XADD', KEYS[3], 'NOMKSTREAM', 'MAXLEN', '~', {MOST_EVENTS}, '*',
        '{KIND_FIELD}', '{EventKind.PROGRESS}', '{STEP_FIELD}', ARGV[3], '{LEFT_FIELD}', ARGV[4])
end
"""


@dataclass(frozen=True, slots=True)
class JobProgress:
    share: float  # 0 to 1, over all pictures of the job
    step: int  # of the steps that were asked for
    left_s: float | None = None  # until it is done, as its worker estimates

    @classmethod
    def of(cls, share: float, steps: int, left_s: float | None = None) -> Self:
        # What rounding takes away must not cost a step.
        return cls(share, math.floor(share * steps + 1e-3), left_s)


def write_progress(connection: Redis, jobs: Mapping[tuple[str, str], JobProgress]) -> None:
    """One round trip for all jobs of a worker, each by its id and that of its execution."""
    if not jobs:
        return
    pipeline = connection.pipeline(transaction=False)
    for (job_id, execution_id), progress in jobs.items():
        keys = Job.key_for(job_id), progress_key(job_id), events_key(job_id)
        left = "" if progress.left_s is None else f"{progress.left_s:.1f}"
        values = execution_id, f"{progress.share:.7f}", progress.step, left, PROGRESS_TTL_S
        pipeline.eval(_WRITE, len(keys), *keys, *values)
    pipeline.publish(NEWS_CHANNEL, " ".join(job_id for job_id, _ in jobs))
    pipeline.execute()


def progress_of(connection: Redis, job_id: str) -> JobProgress:
    """How far the job was when its worker last told."""
    raw: dict[Any, Any] = connection.hgetall(progress_key(job_id))
    return read_progress(raw)


def read_progress(raw: Mapping[bytes, bytes]) -> JobProgress:
    """From what stands under `progress_key`: a job of which nothing is told is at its start."""
    return JobProgress(
        share=float(raw.get(_SHARE_FIELD.encode(), 0.0)),
        step=int(raw.get(STEP_FIELD.encode(), 0)),
        left_s=seconds_left(raw.get(LEFT_FIELD.encode(), b"")),
    )


def seconds_left(text: str | bytes) -> float | None:
    """What an event or a key says of the seconds left."""
    return float(text) if text else None


def progress_key(job_id: str) -> str:
    return f"darkroom:progress:{job_id}"
