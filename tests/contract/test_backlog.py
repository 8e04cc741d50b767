import pytest
from redis import Redis
from rq import Queue

from contract import queue
from contract.backlog import KEPT, Standing, work_until
from contract.claims import take
from tests.contract.conftest import Ask


def test_work_is_counted_in_rows_and_steps(jobs: Queue, ask: Ask) -> None:
    ask(steps=30, guidance=7.5, images=2)
    ask(steps=4, guidance=1.0)
    assert queue.waiting(jobs) == (2, 124.0)


def test_a_job_stands_behind_the_work_before_it(jobs: Queue, ask: Ask) -> None:
    ids = [ask(steps=steps, guidance=0.0) for steps in (10, 20, 30)]
    assert [queue.standing(jobs, job_id) for job_id in ids] == [
        Standing(1, 10.0),
        Standing(2, 30.0),
        Standing(3, 60.0),
    ]
    assert take(jobs, "gpu-1") is not None
    assert queue.standing(jobs, ids[0]) is None
    assert queue.standing(jobs, ids[2]) == Standing(2, 50.0)
    assert queue.waiting(jobs) == (2, 50.0)


def test_an_empty_queue_holds_no_work(jobs: Queue) -> None:
    assert queue.waiting(jobs) == (0, 0.0)


def test_what_is_not_written_down_counts_as_the_average(jobs: Queue, ask: Ask) -> None:
    assert work_until(position=300, depth=400, recent=[10, 30]) == 6000.0
    assert work_until(position=1, depth=1, recent=[]) is None


def test_no_more_is_written_down_than_is_bounded_and_it_expires(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    for _ in range(KEPT + 5):
        ask()
    (key,) = connection.keys("darkroom:work:*")
    assert connection.llen(key) == KEPT
    assert connection.ttl(key) > 0
    assert queue.waiting(jobs) == (KEPT + 5, pytest.approx((KEPT + 5) * 60))
