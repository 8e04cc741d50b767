import io
import signal
import zlib
from collections.abc import Callable
from threading import Event, Thread, current_thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from redis import Redis
from rq import Queue
from rq.command import send_command, send_stop_job_command
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.worker import BaseWorker

from contract import endings
from contract.errors import SamplerRefused
from contract.job import JobRecord, JobState, read_job
from contract.leases import GUARD_KEY
from contract.pictures.redis_store import RedisStore
from contract.sweep import sweep
from contract.transactions import STRIKES_UNTIL_ALONE
from contract.workers import known_models, live_workers
from tests.reference import Wish, develop
from tests.waiting import LIMIT_S, job_in, until
from tests.worker.conftest import MODEL, Ask, running
from worker.batch_worker import BatchWorker
from worker.engine.batch import Batch
from worker.engine.engine import Engine
from worker.engine.sampler import SamplerTable

LONG = 150
"""Steps of a job that is still running when a test looks at it."""


def pixels(connection: Redis, record: JobRecord, n: int = 0) -> np.ndarray:
    assert record.result is not None, record.error
    content = RedisStore(connection, 600).get(record.result.images[n].sha256)
    assert content is not None
    return np.asarray(Image.open(io.BytesIO(content)))


def assert_same_picture(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def registry(kind: type[Any], jobs: Queue) -> list[str]:
    ids: list[str] = kind(queue=jobs).get_job_ids(cleanup=False)
    return ids


def test_a_job_becomes_the_picture_that_diffusers_makes(
    worker: BatchWorker, ask: Ask, connection: Redis, engine: Engine
) -> None:
    job_id = ask(sampler="dpmpp_2m_sde", steps=10, guidance=5.0, seed=7)
    record = job_in(connection, job_id)
    wish = Wish(sampler="dpmpp_2m_sde", steps=10, guidance=5.0, seed=7)
    assert record.state is JobState.SUCCEEDED
    assert_same_picture(pixels(connection, record), develop(engine.model, wish).pixels[0])


def test_a_job_with_a_guidance_interval_is_named_so_and_exact(
    worker: BatchWorker, ask: Ask, connection: Redis, engine: Engine
) -> None:
    interval = {"guidance_start": 0.2, "guidance_stop": 0.6}
    record = job_in(connection, ask(sampler="dpmpp_2m_karras", steps=10, seed=7, **interval))
    assert record.request.approximations == ["guidance_interval"]
    wish = Wish("dpmpp_2m_karras", 10, seed=7, guidance_start=0.2, guidance_stop=0.6)
    assert_same_picture(pixels(connection, record), develop(engine.model, wish).pixels[0])


def test_several_images_have_the_seeds_that_follow(
    worker: BatchWorker, ask: Ask, connection: Redis, engine: Engine
) -> None:
    record = job_in(connection, ask(images=3, seed=40))
    expected = develop(engine.model, Wish(seed=40), images=3).pixels
    assert record.result is not None
    assert [image.seed for image in record.result.images] == [40, 41, 42]
    for n in range(3):
        assert_same_picture(pixels(connection, record, n), expected[n])


def test_a_short_job_that_comes_later_ends_before_a_long_one(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    long = ask(steps=LONG)
    job_in(connection, long, JobState.RUNNING)
    assert job_in(connection, ask(steps=2)).state is JobState.SUCCEEDED
    assert job_in(connection, long, JobState.RUNNING).progress is not None
    assert job_in(connection, long).state is JobState.SUCCEEDED


def test_a_full_batch_of_one_size_does_not_hold_up_another(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    worker._intake._tables.build("euler", LONG)
    large = [ask(steps=LONG, width=128, height=128, seed=seed) for seed in range(2)]
    job_in(connection, large[1], JobState.RUNNING)
    assert job_in(connection, ask(steps=2)).state is JobState.SUCCEEDED
    for job_id in large:
        job_in(connection, job_id, JobState.RUNNING)


def test_a_job_of_many_images_does_not_hold_up_another_size(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    worker._intake._tables.build("euler", LONG)
    many = ask(steps=LONG, images=10)
    job_in(connection, many, JobState.RUNNING)
    assert job_in(connection, ask(steps=2, width=72)).state is JobState.SUCCEEDED
    assert job_in(connection, many, JobState.RUNNING)


def test_what_does_not_fit_is_left_to_a_worker_with_room(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    with running(make_worker()) as busy:
        first = ask(steps=LONG, images=10)
        job_in(connection, first, JobState.RUNNING)
        second = ask(steps=10, images=10)
        with running(make_worker()) as other:
            assert job_in(connection, second).worker == other.name
        assert job_in(connection, first).worker == busy.name


def test_the_step_loop_never_talks_to_redis(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = make_worker()
    loop: list[Thread] = []
    talked: set[Thread] = set()
    pool = worker.connection.connection_pool
    get_connection, develop_jobs = pool.get_connection, worker._develop

    def noted_connection(*args: Any, **options: Any) -> Any:
        talked.add(current_thread())
        return get_connection(*args, **options)

    def noted_develop() -> None:
        loop.append(current_thread())
        talked.clear()
        develop_jobs()
        assert loop[0] not in talked

    monkeypatch.setattr(pool, "get_connection", noted_connection)
    monkeypatch.setattr(worker, "_develop", noted_develop)
    with running(worker):
        doomed = ask(steps=LONG)
        job_in(connection, doomed, JobState.RUNNING)
        later = [ask(images=2), ask(sampler="lcm", steps=90), ask(steps=40)]
        endings.cancel(connection, doomed)
        for job_id in later:
            job_in(connection, job_id)
        until(lambda: not worker.executions)
    assert talked  # by the other threads
    assert loop


def test_progress_never_goes_back(worker: BatchWorker, ask: Ask, connection: Redis) -> None:
    job_id = ask(steps=40, images=10)
    seen: list[float] = []

    def ended() -> bool:
        record = read_job(connection, job_id)
        assert record is not None
        if record.progress is not None:
            seen.append(record.progress)
        return record.state.is_final

    until(ended)
    assert seen == sorted(seen)


def test_the_phases_of_a_job_add_up_to_its_total(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    record = job_in(connection, ask(images=2))
    assert record.result is not None
    phases = record.result.timings.model_dump()
    total = phases.pop("total_s")
    assert sum(phases.values()) == total
    assert all(seconds >= 0 for seconds in phases.values())


def test_cancelling_jobs_of_a_batch_leaves_the_neighbours_pictures_as_they_are(
    worker: BatchWorker, ask: Ask, connection: Redis, engine: Engine
) -> None:
    doomed = [ask(steps=LONG, seed=seed) for seed in (1, 2)]
    kept = ask(steps=40, seed=3)
    for job_id in (*doomed, kept):
        job_in(connection, job_id, JobState.RUNNING)
    for job_id in doomed:
        endings.cancel(connection, job_id)
    assert [job_in(connection, job_id).state for job_id in doomed] == [JobState.CANCELLED] * 2
    record = job_in(connection, kept)
    expected = develop(engine.model, Wish(steps=40, seed=3)).pixels[0]
    assert_same_picture(pixels(connection, record), expected)
    until(lambda: worker.engine.is_idle)
    until(lambda: not worker.executions)


def test_a_cancelled_job_that_waits_is_never_begun(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    cancelled, other = ask(), ask()
    endings.cancel(connection, cancelled)
    with running(make_worker()):
        assert job_in(connection, other).state is JobState.SUCCEEDED
    record = job_in(connection, cancelled)
    assert (record.state, record.started_at) == (JobState.CANCELLED, None)


def test_rqs_own_stop_command_ends_any_job_of_the_batch(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    ids = [ask(steps=LONG, seed=seed) for seed in (1, 2)]
    for job_id in ids:
        job_in(connection, job_id, JobState.RUNNING)
    send_stop_job_command(connection, ids[1], serializer=JSONSerializer)
    assert job_in(connection, ids[1]).state is JobState.CANCELLED
    assert job_in(connection, ids[0]).state is JobState.SUCCEEDED


def test_what_diffusers_refuses_fails_that_job_alone_with_a_code(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    neighbour = ask(steps=LONG)
    record = job_in(connection, ask(sampler="lcm", steps=90))
    assert record.error is not None
    assert record.error.code == "sampler_refused"
    assert "50" in record.error.detail
    assert job_in(connection, neighbour).state is JobState.SUCCEEDED


def test_a_job_that_is_not_a_request_fails_with_a_code(
    worker: BatchWorker, jobs: Queue, connection: Redis
) -> None:
    job = jobs.enqueue_call("worker.tasks.generate", kwargs={"request": {"prompt": 3}})
    failed = until(lambda: Job.fetch(job.id, connection, JSONSerializer).is_failed)
    assert failed
    assert b"malformed_job" in connection.hget(job.key, "error")


def test_a_record_that_nobody_can_decode_ends_no_worker(
    worker: BatchWorker, ask: Ask, jobs: Queue, connection: Redis
) -> None:
    connection.rpush(jobs.key, b"\xff\xfe")  # meets an idle worker
    running_one = ask(steps=LONG)
    job_in(connection, running_one, JobState.RUNNING)
    connection.set(Job.key_for("text"), "no hash")
    connection.rpush(jobs.key, b"\xff\xfe", "text")  # meet a busy one
    for data in (b"garbage", zlib.compress(b"[]"), zlib.compress(b'["f", null, [], 3]')):
        odd = ask()
        connection.hset(Job.key_for(odd), "data", data)
        until(lambda odd=odd: connection.hget(Job.key_for(odd), "status") == b"failed")
    assert job_in(connection, ask(steps=2)).state is JobState.SUCCEEDED
    assert job_in(connection, running_one).state is JobState.SUCCEEDED
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_job_that_another_client_queued_without_any_ttl_is_done(
    worker: BatchWorker, ask: Ask, jobs: Queue, connection: Redis
) -> None:
    request = job_in(connection, ask(steps=2)).request.model_dump(mode="json")
    job = jobs.enqueue_call("worker.tasks.generate", kwargs={"request": request})
    assert job_in(connection, job.id).state is JobState.SUCCEEDED
    assert connection.ttl(job.key) > 0


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("model", "another", "unknown_model"), ("width", 2048, "unsupported_size")],
)
def test_a_job_that_is_not_for_this_model_fails_with_a_code(
    worker: BatchWorker, ask: Ask, connection: Redis, field: str, value: object, code: str
) -> None:
    record = job_in(connection, ask(**{field: value}))
    assert record.error is not None
    assert record.error.code == code


def test_a_job_that_a_sweep_took_and_that_comes_back_is_developed_once(
    worker: BatchWorker, ask: Ask, jobs: Queue, connection: Redis
) -> None:
    job_id = ask(steps=LONG)
    job_in(connection, job_id, JobState.RUNNING)
    [former] = until(lambda: list(worker.executions))
    connection.zadd(jobs.started_job_registry.key, {f"{job_id}:{former}": 1})
    jobs.started_job_registry.cleanup()
    until(lambda: former not in worker.executions)
    assert len(worker.engine.progress()) <= 1
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    until(lambda: not worker.executions)
    assert connection.xlen(f"rq:results:{job_id}") == 1


def test_a_result_whose_job_has_moved_on_is_not_written(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(steps=LONG)
    job_in(connection, job_id, JobState.RUNNING)
    connection.hset(Job.key_for(job_id), "execution_id", "another")
    until(lambda: not worker.executions)
    record = read_job(connection, job_id)
    assert record is not None
    assert (record.state, record.result) == (JobState.RUNNING, None)


def test_rqs_records_are_true_while_jobs_run_and_after(
    worker: BatchWorker, ask: Ask, jobs: Queue, connection: Redis
) -> None:
    ids = [ask(steps=LONG, seed=seed) for seed in range(3)]
    for job_id in ids:
        job_in(connection, job_id, JobState.RUNNING)
    [seen] = BaseWorker.all(connection, serializer=JSONSerializer)
    until(lambda: connection.hget(seen.key, "state") == b"busy")
    assert sorted(registry(StartedJobRegistry, jobs)) == sorted(ids)
    assert seen.current_execution_count == 3
    refused = ask(sampler="lcm", steps=90)
    for job_id in (*ids, refused):
        job_in(connection, job_id)
    until(lambda: not worker.executions)
    assert sorted(registry(FinishedJobRegistry, jobs)) == sorted(ids)
    assert registry(FailedJobRegistry, jobs) == [refused]
    assert registry(StartedJobRegistry, jobs) == []
    seen.refresh()
    assert (seen.successful_job_count, seen.failed_job_count) == (3, 1)
    assert seen.current_execution_count == 0
    assert ExecutionRegistry(ids[0], connection).get_execution_ids() == []
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_stop_puts_what_is_not_done_back_at_the_front(
    make_worker: Callable[[], BatchWorker], ask: Ask, jobs: Queue, connection: Redis
) -> None:
    with running(make_worker()):
        begun = [ask(steps=LONG, seed=seed) for seed in range(3)]
        for job_id in begun:
            job_in(connection, job_id, JobState.RUNNING)
        suspend(connection)
        later = ask()
    resume(connection)
    assert jobs.get_job_ids() == [*begun, later]
    assert {read_job(connection, job_id).state for job_id in begun} == {JobState.QUEUED}
    assert live_workers(connection) == []
    with running(make_worker()):
        assert job_in(connection, begun[0]).state is JobState.SUCCEEDED


def test_a_stop_waits_for_no_table(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    jobs: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, released = Event(), Event()
    worker = make_worker()

    def build(sampler: str, steps: int) -> SamplerTable:
        asked.set()
        assert released.wait(LIMIT_S)
        raise SamplerRefused("too late")

    monkeypatch.setattr(worker._intake._tables, "build", build)
    try:
        with running(worker):
            job_id = ask(sampler="lms")
            assert asked.wait(LIMIT_S)
    finally:
        released.set()
    assert jobs.get_job_ids() == [job_id]


def test_rqs_shutdown_command_stops_the_worker(
    make_worker: Callable[[], BatchWorker], connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command is a signal to the process, which here is the test's own.
    worker = make_worker()
    before = signal.signal(signal.SIGINT, worker.request_stop)
    try:
        with running(worker):
            send_command(connection, worker.name, "shutdown")
            until(lambda: not live_workers(connection) and worker.death_date is not None)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_suspended_worker_takes_no_jobs(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    suspend(connection)
    worker = make_worker()
    with running(worker):
        until(lambda: worker._heartbeat.is_suspended)
        job_id = ask()
        assert read_job(connection, job_id).state is JobState.QUEUED
        resume(connection)
        assert job_in(connection, job_id).state is JobState.SUCCEEDED


def test_a_worker_says_what_it_holds(worker: BatchWorker, connection: Redis) -> None:
    [card] = until(lambda: live_workers(connection))
    assert (card.name, card.model, card.device, card.rows) == ("test", MODEL, "cpu", 16)
    model = known_models(connection)[MODEL]
    assert (model.width, model.height, model.token_limit) == (64, 64, 77)
    assert model.samplers["lcm"].max_steps == 50


def test_an_error_of_the_loop_hands_nothing_back_and_counts_as_a_death(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    jobs: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison, neighbour = ask(sampler="euler_a", steps=20), ask(steps=LONG, seed=2)
    fresh = Batch._fresh_noise

    def out_of_memory(batch: Batch) -> torch.Tensor | None:
        if any(row.picture.table.draws[0] for row in batch.rows):
            raise torch.OutOfMemoryError("raised artificially")
        return fresh(batch)

    monkeypatch.setattr(Batch, "_fresh_noise", out_of_memory)
    for _ in range(STRIKES_UNTIL_ALONE + 1):
        with pytest.raises(torch.OutOfMemoryError):
            make_worker().work()
        assert job_in(connection, poison, JobState.RUNNING)
        for member in connection.zrange(f"darkroom:leases:{jobs.name}", 0, -1):
            connection.zadd(f"darkroom:leases:{jobs.name}", {member: 1})
        connection.delete(f"darkroom:sweeping:{jobs.name}", GUARD_KEY)
        assert poison in sweep(jobs)
    record = read_job(connection, poison)
    assert record is not None
    assert record.error is not None
    assert record.error.code == "worker_lost"
    with running(make_worker()):
        assert job_in(connection, neighbour).state is JobState.SUCCEEDED


def test_a_slow_store_bounds_what_a_worker_takes_and_holds_up_no_stop(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    slow = make_worker()
    store, opened = slow._publisher._storeroom._store, Event()
    put = store.put

    def wait(content: bytes) -> str:
        opened.wait(LIMIT_S)
        return put(content)

    store.put = wait  # type: ignore[method-assign]
    ids = [ask(steps=1, seed=n) for n in range(60)]
    long = ask(steps=LONG, images=8, width=128, height=128)
    with running(slow):
        until(lambda: slow._publisher.behind >= slow._most_behind)
        until(lambda: slow.engine.is_idle)
        assert slow._publisher.behind < slow._most_behind + 16
        assert len(slow.executions) < len(ids)
        assert job_in(connection, long, *JobState).state is JobState.QUEUED
        opened.set()
        job_in(connection, long, JobState.RUNNING)
        opened.clear()
        until(lambda: slow._publisher.behind)
        slow.request_stop(signal.SIGTERM, None)
        assert job_in(connection, long, JobState.QUEUED)
        until(lambda: not slow._publisher.behind)  # though the store has not moved
    opened.set()
