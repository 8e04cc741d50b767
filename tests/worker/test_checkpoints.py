"""What one worker began, another one finishes."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from contract.checkpoints import checkpoint_key, steps_done
from contract.connections import connect
from contract.job import JobState
from contract.request import JobRequest
from tests.reference import Wish, develop
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from tests.worker.test_batch_worker import assert_same_picture, pixels
from worker.batch_worker import BatchWorker
from worker.checkpoints import Checkpointer, _State
from worker.development import Development
from worker.engine.engine import Engine
from worker.engine.picture import StepReport

STEPS = 150


def count(worker: BatchWorker, metric: str) -> float:
    value = worker._metrics.registry.get_sample_value(metric)
    assert value is not None
    return value


def steps_taken(worker: BatchWorker) -> float:
    return count(worker, "darkroom_steps_total")


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_stopped_job_goes_on_where_it_was(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    engine: Engine,
    is_kept: bool,
) -> None:
    job_id = ask(steps=STEPS, sampler="dpmpp_2m_sde", seed=4)
    first, second = make_worker(), make_worker()
    if not is_kept:
        for worker in (first, second):
            worker._checkpointer._interval_s = 0
    with running(first):
        until(lambda: any(share > 0.3 for share in first.engine.progress().values()))
    with running(second):
        record = job_in(connection, job_id)
    assert record.state is JobState.SUCCEEDED
    expected = develop(engine.model, Wish("dpmpp_2m_sde", STEPS, seed=4)).pixels[0]
    assert_same_picture(pixels(connection, record), expected)
    wasted = steps_taken(first) + steps_taken(second) - STEPS
    assert (wasted == 0) is is_kept
    resumed = count(second, "darkroom_row_steps_resumed_total")
    assert resumed + count(second, "darkroom_rows_total") == 2 * STEPS
    assert (resumed > 0) is is_kept
    assert not connection.exists(checkpoint_key(job_id))


def test_pictures_that_were_done_when_their_worker_stopped_take_no_step_again(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis, engine: Engine
) -> None:
    images, steps = 4, 40  # more pictures than there is room for at a time
    job_id = ask(images=images, steps=steps, width=128, height=128, seed=4)
    first, second = make_worker(), make_worker()
    with running(first):
        until(lambda: count(first, "darkroom_pictures_total"))
        until(lambda: any(first.engine.progress().values()))
    done = count(first, "darkroom_pictures_total")
    assert 0 < done < images
    with running(second):
        record = job_in(connection, job_id)
    rows = sum(count(worker, "darkroom_rows_total") for worker in (first, second))
    assert rows == images * steps * 2
    for n in range(images):
        wish = Wish("euler", steps, seed=4 + n, width=128, height=128)
        assert_same_picture(pixels(connection, record, n), develop(engine.model, wish).pixels[0])


def test_a_running_job_is_checkpointed_now_and_then(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(steps=STEPS, images=2)
    first = until(lambda: steps_done(connection, job_id))
    until(lambda: steps_done(connection, job_id) > first)


def test_a_checkpoint_that_cannot_be_read_costs_no_job(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    worker._heartbeat.is_suspended = True
    job_id = ask(steps=3)
    connection.hset(checkpoint_key(job_id), mapping={"steps": 2, "0": b"garbage"})
    assert job_in(connection, job_id).state is JobState.SUCCEEDED


def test_a_suspect_runs_alone(
    worker: BatchWorker,
    ask: Ask,
    jobs: Queue,
    connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company: set[frozenset[str]] = set()
    step = worker.engine.step

    def noted_step() -> StepReport:
        report = step()
        company.add(frozenset(key.job_id for key in worker.engine.progress()))
        return report

    monkeypatch.setattr(worker.engine, "step", noted_step)
    before = ask(steps=60)
    job_in(connection, before, JobState.RUNNING)
    with connection.pipeline() as pipeline:
        suspect = ask(steps=20)
        pipeline.hset(Job.key_for(suspect), "strikes", 2)
        pipeline.execute()
    after = ask(steps=20)
    for job_id in (before, suspect, after):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
    assert {suspect} in company
    assert all(len(together) == 1 for together in company if suspect in together)


def test_the_bound_on_bytes_keeps_the_oldest_jobs(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    old = ask(steps=STEPS, seed=1)
    until(lambda: steps_done(connection, old))
    worker._checkpointer._most_bytes = connection.hstrlen(checkpoint_key(old), "0")
    new = ask(steps=STEPS, seed=2)
    until(lambda: len(worker.engine.progress()) == 2)
    before = steps_done(connection, old)
    until(lambda: steps_done(connection, old) > before)
    assert steps_done(connection, new) == 0


def begun(job_id: str) -> Any:
    """A job that has joined."""
    request = JobRequest(prompt="a", model="tiny", seed=1, width=64, height=64)
    development = Development(job_id, request)
    development.fingerprint = b"mark"
    return None, development


def test_new_jobs_cost_no_more_checkpoints_than_may_be(worker: BatchWorker) -> None:
    checkpointer = worker._checkpointer
    now = time.perf_counter()
    checkpointer._taken_at, checkpointer._next_at = now - 1, now + 100
    jobs: Any = {"new": begun("new")}
    checkpointer._taken_s = 0.001
    assert checkpointer._due(jobs) == jobs
    checkpointer._taken_s = 0.02  # so that one each 2 s is a hundredth
    assert not checkpointer._due(jobs)


def test_a_new_job_has_no_other_written_again(worker: BatchWorker) -> None:
    checkpointer = worker._checkpointer
    jobs: Any = {"old": begun("old"), "new": begun("new")}
    checkpointer._known = {"old"}
    assert checkpointer._due(jobs) is jobs
    checkpointer._next_at = time.perf_counter() + 100
    assert list(checkpointer._due(jobs)) == ["new"]
    checkpointer._known.add("new")
    assert not checkpointer._due(jobs)


class Held:
    """A checkpoint of eight bytes."""

    def to_bytes(self, fingerprint: bytes) -> bytes:
        return fingerprint.ljust(8)


def test_jobs_that_have_left_take_no_room_from_new_ones(worker: BatchWorker) -> None:
    checkpointer = worker._checkpointer
    checkpointer._most_bytes = 10

    def written(job_id: str, *others: str) -> dict[str, int]:
        pictures: Any = {0: Held()}
        state = _State("execution", b"mark", 1, pictures)
        checkpointer._write({job_id: state}, {job_id, *others})
        return checkpointer._bytes

    assert written("first") == {"first": 8}
    assert written("second", "first") == {"first": 8}
    assert written("third") == {"third": 8}
    assert written("third") == {"third": 8}


def test_a_redis_that_takes_no_checkpoints_is_one_line(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with connect("redis://127.0.0.1:1/0", timeout_s=1.0) as nowhere:
        checkpointer = Checkpointer(nowhere, engine, interval_s=0.1, most_bytes=1)
        for _ in range(3):
            checkpointer._write({"a": _State("b", b"", 1)}, {"a"})
    assert caplog.text.count("no checkpoints until Redis takes them") == 1
