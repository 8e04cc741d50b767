import time

import pytest
from redis import Redis
from rq import Queue

from contract import queue
from contract.claims import take
from contract.identity import new_job_id
from contract.waiting import ASKED, Lane, Waiting, ask_waiting, read_waiting
from tests.contract.samples import TTL_S, job_request

WORKER = "gpu-1"


def look(jobs: Queue) -> Waiting:
    pipeline = jobs.connection.pipeline(transaction=False)
    ask_waiting(pipeline, jobs)
    assert len(pipeline.command_stack) == ASKED
    return read_waiting(pipeline.execute())


def depths(jobs: Queue) -> list[int]:
    return [lane.depth for lane in look(jobs).lanes.values()]


def id_made_ago(seconds: float) -> str:
    digits = f"{int((time.time() - seconds) * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def ask(jobs: Queue, job_id: str | None = None, **fields: object) -> str:
    job_id = job_id or new_job_id()
    queue.enqueue(jobs, job_id, job_request(**fields), TTL_S)
    return job_id


def test_where_nothing_waits_nothing_is_old(jobs: Queue) -> None:
    nothing = Lane(0, 0.0)
    assert look(jobs) == Waiting({"high": nothing, "normal": nothing, "low": nothing}, 0.0)


def test_jobs_are_counted_by_priority(jobs: Queue) -> None:
    for priority, count in (("low", 3), ("high", 1), ("normal", 2)):
        for _ in range(count):
            ask(jobs, priority=priority)
    assert depths(jobs) == [1, 2, 3]
    assert look(jobs).work == 6 * job_request().row_steps
    take(jobs, WORKER)
    assert depths(jobs) == [0, 2, 3]


def test_the_wait_of_a_priority_is_that_of_its_next_job(jobs: Queue) -> None:
    ask(jobs, id_made_ago(600), priority="low")
    ask(jobs, id_made_ago(60), priority="high")
    ask(jobs, priority="high")
    high, normal, low = look(jobs).lanes.values()
    assert (60 <= high.wait_s < 90, normal.wait_s, 600 <= low.wait_s < 630) == (True, 0.0, True)


@pytest.mark.parametrize("taken", range(4))
def test_what_a_stock_worker_takes_waits_no_more(
    jobs: Queue, connection: Redis, taken: int
) -> None:
    """It tells nobody, so the sorted set still names it."""
    ask(jobs, id_made_ago(600), priority="high")
    ask(jobs, id_made_ago(300))
    ask(jobs, priority="low")
    for _ in range(taken):
        connection.lpop(jobs.key)
    assert depths(jobs) == [int(lane >= taken) for lane in range(3)]
    longest = max(lane.wait_s for lane in look(jobs).lanes.values())
    least, most = [(600, 630), (300, 330), (0, 30), (0, 0)][taken]
    assert least <= longest <= most


def test_what_rq_puts_back_by_itself_is_counted(jobs: Queue, connection: Redis) -> None:
    ask(jobs, priority="low")
    connection.rpush(jobs.key, "stranger")
    assert depths(jobs) == [0, 1, 1]


@pytest.mark.parametrize("member", [b"stranger", b"\xff\xfe"])
def test_a_stranger_has_no_wait(jobs: Queue, connection: Redis, member: bytes) -> None:
    connection.rpush(jobs.key, member)
    assert look(jobs).lanes["normal"] == Lane(1, 0.0)
