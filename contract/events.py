"""News of jobs, published as they happen. Who misses one finds the same in the job's record."""

from redis import Redis
from redis.client import Pipeline

ENDED_CHANNEL = "darkroom:ended"
PROGRESS_TTL_S = 120


def publish_end(pipeline: Pipeline, job_id: str) -> None:
    """Tells all who wait that the job has ended, whichever way; part of the transaction."""
    pipeline.publish(ENDED_CHANNEL, job_id)


def write_progress(connection: Redis, shares: dict[str, float]) -> None:
    """Notes how far each job is, from 0 to 1: one round trip, and never the job's own hash, whose
    every change would break a transaction that watches it."""
    pipeline = connection.pipeline(transaction=False)
    for job_id, share in shares.items():
        pipeline.set(progress_key(job_id), f"{share:.4f}", ex=PROGRESS_TTL_S)
    pipeline.execute()


def progress_key(job_id: str) -> str:
    return f"darkroom:progress:{job_id}"
