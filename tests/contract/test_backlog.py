import pytest
from redis import Redis
from rq import Queue

from contract import backlog, queue
from contract.backlog import EXACT, WORK_FIELD, Standing
from contract.claims import take
from tests.contract.conftest import Ask


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


def test_work_is_counted_in_rows_and_steps(jobs: Queue, ask: Ask) -> None:
    ask(steps=30, guidance=7.5, images=2)
    assert queue.standing(jobs, ask(steps=4, guidance=1.0)) == Standing(2, 124.0)
    assert queue.standing(jobs, ask(steps=10, guidance_stop=0.6)) == Standing(3, 140.0)


def test_only_the_first_are_looked_at(
    jobs: Queue, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = backlog._STANDING.replace(f"jobs, {EXACT})", "jobs, 2)")
    monkeypatch.setattr(backlog, "_STANDING", script)
    ids = [ask(steps=steps, guidance=0.0) for steps in (10, 30, 100)]
    assert queue.standing(jobs, ids[2]) == Standing(3, 60.0)


def test_a_job_of_unknown_work_counts_as_the_others(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    ids = [ask(steps=steps, guidance=0.0) for steps in (10, 30, 50)]
    connection.hdel(f"rq:job:{ids[0]}", WORK_FIELD)
    connection.set("rq:job:text", "no hash")
    connection.rpush(jobs.key, "text", b"\xff")
    assert queue.standing(jobs, ids[2]) == Standing(3, 120.0)
    for job_id in ids:
        connection.hdel(f"rq:job:{job_id}", WORK_FIELD)
    assert queue.standing(jobs, ids[0]) == Standing(1, None)
