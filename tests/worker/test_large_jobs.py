"""Workers of one model, some of which have no memory for pictures that others draw."""

from collections.abc import Callable

from redis import Redis
from rq import Queue

from contract import queue
from contract.identity import new_job_id
from contract.job import JobState, read_job
from tests.contract.samples import job_request
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker

SMALL, LARGE = 64, 128
"""Sides, in pixels."""


def test_large_pictures_are_drawn_where_there_is_room_for_them(
    make_worker: Callable[..., BatchWorker], jobs: Queue, connection: Redis
) -> None:
    with running(make_worker(max_side=SMALL)), running(make_worker()) as large:
        for _ in range(4):
            record = job_in(connection, ask_large(jobs, wait_s=600))
            assert (record.state, record.worker) == (JobState.SUCCEEDED, large.name), record.error


def test_a_small_worker_works_behind_large_jobs_and_fails_them_when_they_are_overdue(
    make_worker: Callable[..., BatchWorker], jobs: Queue, ask: Ask, connection: Redis
) -> None:
    with running(make_worker(max_side=SMALL)) as small:
        patient, hasty = ask_large(jobs, wait_s=600), ask_large(jobs, wait_s=1)
        until(lambda: bool(small._passed))
        assert job_in(connection, ask(steps=2)).worker == small.name
        overdue = job_in(connection, hasty)
        assert overdue.error is not None
        assert overdue.error.code == "deadline_exceeded"
        waiting = read_job(connection, patient)
        assert waiting is not None
        assert waiting.state is JobState.QUEUED


def ask_large(jobs: Queue, wait_s: float) -> str:
    job_id = new_job_id()
    request = job_request(steps=2, sampler="euler", width=LARGE)
    queue.enqueue(jobs, job_id, request, 600, wait_s=wait_s)
    return job_id
