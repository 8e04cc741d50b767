"""What all moves of a job have in common: each is one transaction with the job's hash as the lock
(WATCH, MULTI, EXEC).

RQ's records are written by RQ's own code inside them, so that its tools tell the truth. Fields of
ours stand in the same hash: `execution_id` names the one execution that may end the job, `done_by`
the one that did. A pop from the queue is no claim, and an execution record no fence.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import as_text

from contract import leases
from contract.leases import EXECUTION_FIELD

DONE_FIELD = "done_by"
STRIKES_FIELD = "strikes"
STRIKE_STEPS_FIELD = "strike_steps"
DEATHS_FIELD = "deaths"
ATTEMPTS_FIELD = "attempts"
OWNER_FIELD = "owner"
"""Whose the job is; nobody's where the field is missing."""

STRIKES_UNTIL_ALONE = 2
"""A job that so many workers in a row died of without any progress runs alone; the next one that
dies of it is the last."""

DEATHS_UNTIL_ALONE, MOST_DEATHS = 10, 30
"""Likewise for all workers that died while they held it, whatever its progress: a job that kills
its worker at each second step gets on, too."""

Outcome = TypeVar("Outcome")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to end one job: held by one execution at a time."""

    queue: Queue
    job: Job
    execution: Execution
    attempt: int = 1  # 1 for the first worker that has it
    strikes: int = 0  # workers in a row that died while they held it, without any progress
    is_suspect: bool = False  # so many workers died of it that it runs alone
    owner: str = ""

    @property
    def job_id(self) -> str:
        return str(self.job.id)


def is_held(claim: Claim, connection: Redis) -> bool:
    """Whether this execution is the one that may end the job."""
    status, worker, execution = connection.hmget(
        claim.job.key, ["status", "worker_name", EXECUTION_FIELD]
    )
    return (
        status == JobStatus.STARTED.encode()
        and worker == claim.execution.worker_name.encode()
        and execution == claim.execution.id.encode()
    )


def was_cancelled(claim: Claim, connection: Redis) -> bool:
    """Whether a job that is no longer this execution's is nobody's, as it was cancelled."""
    return connection.hget(claim.job.key, "status") == JobStatus.CANCELED.encode()


def forget(claim: Claim, pipeline: Pipeline) -> None:
    """Removes an execution from RQ's records and its lease from ours."""
    claim.execution.delete(job=claim.job, pipeline=pipeline)
    leases.drop(pipeline, claim.queue, claim.execution)


def read_hash(connection: Redis, key: str) -> dict[Any, Any]:
    """A key that holds something else is as good as none: no job stands there."""
    try:
        raw: dict[Any, Any] = connection.hgetall(key)
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        logger.error("%s is not a job's record", key)
        return {}
    return raw


def number_in(raw: Mapping[Any, Any], field: str) -> int:
    """0 where there is none, or something else."""
    try:
        return int(raw.get(field.encode(), 0))
    except ValueError:
        return 0


def owner_of(raw: Mapping[Any, Any]) -> str:
    """Empty where the job is nobody's."""
    return as_text(raw.get(OWNER_FIELD.encode(), b""))


def is_suspect(raw: Mapping[Any, Any]) -> bool:
    """By the job's hash."""
    strikes, deaths = number_in(raw, STRIKES_FIELD), number_in(raw, DEATHS_FIELD)
    return strikes >= STRIKES_UNTIL_ALONE or deaths >= DEATHS_UNTIL_ALONE


def transact(connection: Redis, key: str, move: Callable[[Pipeline], Outcome]) -> Outcome:
    """Runs `move` with the key watched and carries out what it queued, again and again until
    nobody else touched the key meanwhile."""
    # redis-py's annotations know only its other form, which returns the results of EXEC.
    transaction = cast("Callable[..., Outcome]", connection.transaction)
    return transaction(move, key, value_from_callable=True)
