"""Where half-developed jobs are kept, so that another worker goes on from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.job import Job
from rq.utils import as_text

from contract.leases import EXECUTION_FIELD

TTL_S = 3600
"""From the last write on: a job that waits longer than this for a worker starts over."""

STEPS_FIELD = "steps"

# Only for the execution that holds the job: after its end nothing must be left behind.
_WRITE = f"""
if redis.call('HGET', KEYS[1], '{EXECUTION_FIELD}') == ARGV[1] then
    redis.call('HSET', KEYS[2], unpack(ARGV, 3))
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """Where a job is."""

    steps: int  # model evaluations done, over all of its pictures
    pictures: Mapping[int, bytes]  # by their number, as the engine wrote them


def write_checkpoints(connection: Redis, jobs: Mapping[tuple[str, str], JobCheckpoint]) -> None:
    """One round trip for all jobs of a batch, each by its id and that of its execution."""
    pipeline = connection.pipeline(transaction=False)
    for (job_id, execution_id), job in jobs.items():
        fields: list[Any] = [STEPS_FIELD, job.steps]
        for n, content in job.pictures.items():
            fields += [n, content]
        keys = Job.key_for(job_id), checkpoint_key(job_id)
        pipeline.eval(_WRITE, len(keys), *keys, execution_id, TTL_S, *fields)
    pipeline.execute()


def read_checkpoint_of(connection: Redis, job_id: str) -> JobCheckpoint:
    """Empty where there is none."""
    raw: dict[Any, Any] = connection.hgetall(checkpoint_key(job_id))
    fields = {as_text(name): content for name, content in raw.items()}
    steps = int(fields.pop(STEPS_FIELD, 0))
    return JobCheckpoint(steps, {int(n): content for n, content in fields.items()})


def steps_done(connection: Redis, job_id: str) -> int:
    """How far the checkpoint of a job is; 0 where there is none."""
    return int(connection.hget(checkpoint_key(job_id), STEPS_FIELD) or 0)


def drop_checkpoint(pipeline: Pipeline, job_id: str) -> None:
    """Part of the transaction that ends the job."""
    pipeline.delete(checkpoint_key(job_id))


def checkpoint_key(job_id: str) -> str:
    return f"darkroom:checkpoint:{job_id}"
