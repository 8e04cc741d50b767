"""What each caller of the web UI's API has on their desk. That API names no job: its progress, its
interruption and its options are simply "the" ones, which here are those of whoever asks.

Which caller that is, the HTTP side says by the name of the desk.
"""

from typing import Any

from redis import Redis
from rq.utils import as_text

from contract.events import OPEN_TTL_S
from contract.job import ended_among

TASK_TTL_S = 3600
"""How long a name that a caller gave a job leads to it."""

MODEL_TTL_S = 30 * 24 * 3600
"""How long a caller's choice of a model holds, from the last time on that it was made."""


def take_on(connection: Redis, desk: str, job_id: str, task: str | None) -> None:
    """Notes a job that the caller waits for.

    Args:
        task: the caller's own name for it.
    """
    pipeline = connection.pipeline(transaction=False)
    pipeline.hset(_jobs_key(desk), job_id, task or job_id)
    pipeline.expire(_jobs_key(desk), OPEN_TTL_S)
    if task is not None:
        pipeline.set(_task_key(desk, task), job_id, ex=TASK_TTL_S)
    pipeline.execute()


def put_away(connection: Redis, desk: str, *job_ids: str) -> None:
    """Nobody waits for these jobs any more."""
    if job_ids:
        connection.hdel(_jobs_key(desk), *job_ids)


def open_tasks(connection: Redis, desk: str) -> dict[str, str]:
    """The jobs that the caller waits for and that have not ended, oldest first, each with the name
    that the caller gave it or its own id."""
    raw: Any = connection.hgetall(_jobs_key(desk))
    if not raw:
        return {}
    tasks = {as_text(job_id): as_text(task) for job_id, task in sorted(raw.items())}
    ended = ended_among(connection, list(tasks))
    put_away(connection, desk, *ended)  # an API process that was killed puts nothing away
    return {job_id: task for job_id, task in tasks.items() if job_id not in set(ended)}


def job_of_task(connection: Redis, desk: str, task: str) -> str | None:
    """The id of the job that the caller gave this name last."""
    job_id: Any = connection.get(_task_key(desk, task))
    return as_text(job_id) if job_id is not None else None


def chosen_model(connection: Redis, desk: str) -> str | None:
    """The id of the model that the caller chose; None where there is no choice."""
    model: Any = connection.get(_model_key(desk))
    return as_text(model) if model is not None else None


def choose_model(connection: Redis, desk: str, model: str | None) -> None:
    """None takes the choice back."""
    if model is None:
        connection.delete(_model_key(desk))
    else:
        connection.set(_model_key(desk), model, ex=MODEL_TTL_S)


def _jobs_key(desk: str) -> str:
    return f"darkroom:desk:{desk}"


def _task_key(desk: str, task: str) -> str:
    return f"darkroom:desk-task:{desk}:{task}"


def _model_key(desk: str) -> str:
    return f"darkroom:desk-model:{desk}"
