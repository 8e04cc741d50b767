"""A job that is taken from its worker and comes back while its table is still being read."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from contract import claims
from contract.errors import SamplerRefused
from contract.job import JobState
from contract.sweep import sweep
from contract.transactions import Claim
from tests.reference import Wish, develop
from tests.waiting import LIMIT_S, job_in, until
from tests.worker.conftest import Ask, running
from tests.worker.test_batch_worker import assert_same_picture, pixels
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine

STEPS = 150


@pytest.fixture
def slow(make_worker: Callable[[], BatchWorker]) -> tuple[BatchWorker, Event]:
    """A worker that reads no table until the event is set."""
    worker, thawed = make_worker(), Event()
    build = worker._intake._tables.build

    def slowly(*wanted: Any) -> Any:
        assert thawed.wait(60)
        return build(*wanted)

    worker._intake._tables.build = slowly  # type: ignore[method-assign]
    return worker, thawed


def taken(worker: BatchWorker) -> Claim:
    claim = claims.take(worker._queue, worker.name)
    assert claim is not None
    return claim


def take_for_dead(claim: Claim, jobs: Queue) -> None:
    member = claim.execution.composite_key
    jobs.connection.zadd(f"darkroom:leases:{jobs.name}", {member: 1})
    assert sweep(jobs) == [claim.job_id]


def finish(worker: BatchWorker) -> None:
    """Lets the intake's former and its present claim of the job become ready, and develops."""
    until(lambda: worker._intake._ready.qsize() == 2)
    worker._intake.join_ready(1.0)
    while not worker.engine.is_idle:
        worker._retire(worker.engine.step())
    worker._publisher.close()


def test_only_its_present_life_is_developed(
    slow: tuple[BatchWorker, Event],
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    jobs: Queue,
    engine: Engine,
) -> None:
    job_id = ask(sampler="dpmpp_2m_sde", steps=STEPS, seed=4)
    worker, thawed = slow
    first = taken(worker)
    worker._intake.accept(first)
    take_for_dead(first, jobs)
    with running(make_worker()) as other:
        until(lambda: any(share > 0.5 for share in other.engine.progress().values()))
    worker._intake.accept(taken(worker))
    thawed.set()
    finish(worker)
    record = job_in(connection, job_id)
    right = develop(engine.model, Wish("dpmpp_2m_sde", STEPS, seed=4)).pixels[0]
    assert_same_picture(pixels(connection, record), right)


def test_a_refused_table_fails_its_present_life(
    slow: tuple[BatchWorker, Event], ask: Ask, connection: Redis, jobs: Queue
) -> None:
    job_id = ask(sampler="lms", steps=20)
    worker, thawed = slow

    def refuse(*wanted: Any) -> Any:
        assert thawed.wait(60)
        raise SamplerRefused("no")

    worker._intake._tables.build = refuse  # type: ignore[method-assign]
    first = taken(worker)
    worker._intake.accept(first)
    take_for_dead(first, jobs)
    worker._intake.accept(taken(worker))
    thawed.set()
    finish(worker)
    assert job_in(connection, job_id).state is JobState.FAILED
    assert not worker.executions


def test_a_job_whose_table_is_still_being_read_says_nothing_of_how_far_it_is(
    slow: tuple[BatchWorker, Event], ask: Ask
) -> None:
    """It may be far, by what another worker did of it."""
    worker, thawed = slow
    ask(steps=2)
    worker._intake.accept(taken(worker))
    assert worker._intake.progress(None) == {}
    thawed.set()
    worker._intake.join_ready(LIMIT_S)
    assert [told.share for told in worker._intake.progress(None).values()] == [0.0]
    worker._publisher.close()
