import pytest
from redis import Redis
from rq import Queue

from contract import backlog, identity, queue
from contract.acceptance import Terms
from contract.backlog import EXACT, WORK_FIELD, Standing
from contract.claims import requeue, take
from contract.sizes import Size
from tests.contract.conftest import Ask
from tests.contract.samples import TTL_S, job_request


def test_a_job_stands_behind_the_work_before_it(jobs: Queue, ask: Ask) -> None:
    ids = [ask(steps=steps, guidance=0.0) for steps in (10, 20, 30)]
    assert [queue.standing(jobs, job_id) for job_id in ids] == [
        Standing(1, 10.0),
        Standing(2, 30.0),
        Standing(3, 60.0),
    ]
    assert take(jobs, "gpu-1") is not None
    assert queue.standing(jobs, ids[0]) is None
    assert queue.standing(jobs, ids[2]) == Standing(2, 50.0, held=1, held_rows=1.0)


def test_work_is_counted_in_rows_and_steps(jobs: Queue, ask: Ask) -> None:
    ask(steps=30, guidance=7.5, images=2)
    assert queue.standing(jobs, ask(steps=4, guidance=1.0)) == Standing(2, 124.0)
    assert queue.standing(jobs, ask(steps=10, guidance_stop=0.6)) == Standing(3, 140.0)


def test_a_larger_picture_is_as_much_more_work_as_it_has_pixels(jobs: Queue) -> None:
    job_id, request = identity.new_job_id(), job_request(steps=10, guidance=0.0)
    queue.enqueue(jobs, job_id, request, TTL_S, terms=Terms(native=Size(32, 32)))
    assert queue.standing(jobs, job_id) == Standing(1, 40.0)


def test_what_workers_hold_is_known_while_they_hold_it(jobs: Queue, ask: Ask) -> None:
    for images in (1, 3):
        ask(images=images)
    last = ask()
    claims = [take(jobs, "gpu-1") for _ in range(2)]
    held = [queue.standing(jobs, last)]
    for claim in claims:
        assert claim is not None
        requeue([claim])
        held.append(queue.standing(jobs, last))
    assert [(each.held, each.held_rows) for each in held if each is not None] == [
        (2, 8.0),
        (1, 6.0),
        (0, None),
    ]
    assert not jobs.connection.exists(f"darkroom:held:{jobs.name}")


def test_what_an_older_worker_holds_counts_as_the_others(jobs: Queue, ask: Ask) -> None:
    ask(images=2)
    last = ask()
    assert take(jobs, "gpu-1") is not None
    jobs.connection.zadd(f"darkroom:leases:{jobs.name}", {"of an older worker": 1})
    standing = queue.standing(jobs, last)
    assert standing is not None
    assert (standing.held, standing.held_rows) == (2, 8.0)


def test_what_an_older_worker_swept_counts_as_the_others_until_nothing_is_held(
    jobs: Queue, ask: Ask
) -> None:
    for images in (1, 3):
        ask(images=images)
    last = ask()
    swept, kept = (take(jobs, "gpu-1") for _ in range(2))
    assert swept is not None
    assert kept is not None
    jobs.connection.zrem(f"darkroom:leases:{jobs.name}", swept.execution.composite_key)
    standing = queue.standing(jobs, last)
    assert standing is not None
    assert (standing.held, standing.held_rows) == (1, 4.0)
    requeue([kept])
    assert not jobs.connection.exists(f"darkroom:held:{jobs.name}")


def test_many_standings_are_as_each_of_them(jobs: Queue, ask: Ask) -> None:
    ask()
    ids = [ask() for _ in range(2)]
    assert take(jobs, "gpu-1") is not None
    assert queue.standings(jobs, ids) == {each: queue.standing(jobs, each) for each in ids}


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
