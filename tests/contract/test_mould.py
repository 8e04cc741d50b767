"""What is cast for a job is what RQ would have written of it."""

import pytest
from redis import Redis
from rq import Queue

from contract import queue
from contract.identity import new_job_id
from tests.contract.records import rq_job
from tests.contract.samples import TTL_S, job_request

CHANGING = {b"enqueued_at"}


@pytest.mark.parametrize("wait_s", [None, 60.0])
def test_the_record_of_a_job_is_rqs_own(
    connection: Redis, jobs: Queue, wait_s: float | None
) -> None:
    request = job_request(prompt="a cafe\u0301", seed=11)
    job_id = new_job_id()
    queue.enqueue(jobs, job_id, request, TTL_S, wait_s=wait_s)
    cast = connection.hgetall(rq_job(connection, job_id).key)
    connection.flushall()
    jobs.enqueue_job(queue.make_job(jobs, job_id, request, TTL_S, wait_s, None))
    written = connection.hgetall(rq_job(connection, job_id).key)
    ours = cast.keys() - written.keys()
    assert ours == {b"row_steps", b"rows", b"priority"}
    assert {name: cast[name] for name in written.keys() - CHANGING} == {
        name: value for name, value in written.items() if name not in CHANGING
    }


def test_no_word_of_one_job_is_found_in_another(connection: Redis, jobs: Queue) -> None:
    ids = [new_job_id() for _ in range(3)]
    for n, job_id in enumerate(ids):
        queue.enqueue(jobs, job_id, job_request(prompt=f"prompt {n}"), TTL_S)
    for n, job_id in enumerate(ids):
        job = rq_job(connection, job_id)
        assert job.kwargs["request"]["prompt"] == f"prompt {n}"
        assert job.description == f"generate {job_id}"
    assert jobs.get_job_ids() == ids
