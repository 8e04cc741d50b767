"""A queue in a real Redis, and a way to put jobs into it."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from contract import identity, queue
from tests.contract.samples import MODEL, TTL_S, job_request

Ask = Callable[..., str]
"""Puts a job into the queue and returns its id; takes fields of a `JobRequest`."""


@pytest.fixture
def jobs(connection: Redis) -> Queue:
    return queue.model_queue(connection, MODEL)


@pytest.fixture
def ask(jobs: Queue) -> Ask:
    def enqueue(**fields: Any) -> str:
        job_id = identity.new_job_id()
        queue.enqueue(jobs, job_id, job_request(**fields), TTL_S)
        return job_id

    return enqueue
