"""Whom a real worker serves when, counted in jobs and in steps."""

from collections.abc import Callable

from redis import Redis
from rq import Queue

from contract import identity, queue
from contract.acceptance import Terms
from contract.events import EventKind, read_events
from contract.job import JobState, read_job
from contract.request import JobRequest
from tests.waiting import job_in, until
from tests.worker.conftest import MODEL, running
from worker.batch_worker import BatchWorker

AT_A_TIME = 8  # guided pictures in the worker's sixteen rows
LONG = 100


def ask(jobs: Queue, owner: str = "", **fields: object) -> str:
    asked = {"prompt": "a", "model": MODEL, "seed": 0, "width": 64, "height": 64} | fields
    job_id = identity.new_job_id()
    request = JobRequest.model_validate({"sampler": "euler"} | asked)
    queue.enqueue(jobs, job_id, request, ttl_s=600, terms=Terms(owner=owner))
    return job_id


def began(connection: Redis, job_id: str) -> float:
    [start] = [each for each in read_events(connection, job_id) if each.kind is EventKind.STARTED]
    return start.at


def test_one_keys_many_jobs_delay_anothers_single_one_by_a_batch_at_most(
    make_worker: Callable[[], BatchWorker], jobs: Queue, connection: Redis
) -> None:
    many = [ask(jobs, "many", steps=4) for _ in range(40)]
    with running(make_worker()):
        job_in(connection, many[0])
        before = sum(read_job(connection, job_id).state is not JobState.QUEUED for job_id in many)
        single = ask(jobs, "one", steps=4)
        job_in(connection, single)
        at = began(connection, single)
        for job_id in many:
            job_in(connection, job_id)
    sooner = sum(began(connection, job_id) <= at for job_id in many)
    assert sooner - before <= AT_A_TIME


def test_a_high_job_joins_a_full_batch_and_the_others_end_well(
    make_worker: Callable[[], BatchWorker], jobs: Queue, connection: Redis
) -> None:
    with running(make_worker()) as worker:
        worker._intake._tables.build("euler", LONG)
        worker._intake._tables.build("euler", 3)
        plain = [ask(jobs, steps=LONG, seed=n) for n in range(AT_A_TIME + 1)]
        until(lambda: len(worker.engine.progress()) == AT_A_TIME)
        high = ask(jobs, steps=3, priority="high")
        assert job_in(connection, high).state is JobState.SUCCEEDED
        states = [read_job(connection, job_id).state for job_id in plain]
        assert JobState.SUCCEEDED not in states
        for job_id in plain:
            assert job_in(connection, job_id).state is JobState.SUCCEEDED
            assert len(read_events(connection, job_id)) == 3  # nobody was sent back
