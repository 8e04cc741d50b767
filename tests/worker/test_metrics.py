import socket
import time
from collections.abc import Callable, Sequence
from urllib.request import urlopen

import pytest
from prometheus_client.samples import Sample
from redis import Redis
from rq import Queue
from rq.job import Job

from contract import endings, identity, queue
from contract.acceptance import Terms
from contract.errors import BadSetting, StoreUnavailable
from contract.job import JobState
from contract.keys import KeyLimits, add_key
from contract.origin import Origin
from contract.progress import progress_key
from contract.timeline import PHASES
from tests import metrics_page
from tests.contract.samples import job_request
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker
from worker.development import Development
from worker.engine.engine import Engine
from worker.key_names import MOST_NAMES
from worker.metrics import WorkerMetrics
from worker.start_phases import StartPhases
from worker.tables import TableCache

LONG = 150
"""Steps of a job that is still running when a test looks at it."""


def enqueue(jobs: Queue, owner: str, **fields: object) -> str:
    job_id = identity.new_job_id()
    request = job_request(**({"sampler": "euler", "steps": 8} | fields))
    queue.enqueue(jobs, job_id, request, 600, terms=Terms(owner))
    return job_id


@pytest.fixture
def metrics(engine: Engine) -> WorkerMetrics:
    phases = StartPhases()
    phases.add("unet", 1.5)
    return WorkerMetrics(engine, TableCache(engine.model.scheduler_config), phases=phases)


def value(worker: BatchWorker, name: str, **labels: str) -> float:
    found = worker._metrics.registry.get_sample_value(f"darkroom_{name}", labels)
    return found if found is not None else 0.0


def series(worker: BatchWorker) -> list[Sample]:
    return [each for metric in worker._metrics.registry.collect() for each in metric.samples]


def total(worker: BatchWorker, name: str) -> float:
    """Over all labels."""
    return sum(each.value for each in series(worker) if each.name == f"darkroom_{name}")


def test_what_becomes_of_jobs_is_counted(worker: BatchWorker, ask: Ask, connection: Redis) -> None:
    for job_id in (ask(images=2), ask(sampler="lcm", steps=99)):
        job_in(connection, job_id)
    until(lambda: not worker.executions)
    assert value(worker, "pictures_total") == 2
    assert value(worker, "jobs_total", outcome="succeeded") == 1
    assert value(worker, "jobs_total", outcome="failed") == 1
    assert value(worker, "job_errors_total", code="sampler_refused") == 1
    assert value(worker, "steps_total") == value(worker, "rows_per_step_count") == 8
    assert value(worker, "step_seconds_count", rows="4") == 8
    assert value(worker, "batch_occupancy_sum") == 8 * 4 / 16
    assert value(worker, "rows_total") == 8 * 4
    assert value(worker, "cache_misses_total", cache="prompt") == 2
    assert value(worker, "cache_hits_total", cache="prompt") == 2


def test_the_phases_add_up_to_the_job_to_the_last_bit(
    worker: BatchWorker, jobs: Queue, connection: Redis
) -> None:
    """From when its request came to its commit; what its record tells ends before that."""
    came = time.time() - 7
    job_id = identity.new_job_id()
    queue.enqueue(jobs, job_id, job_request(images=3), 600, origin=Origin(came))
    timings = job_in(connection, job_id).result.timings  # type: ignore[union-attr]
    until(lambda: value(worker, "job_seconds_count"))
    phases = {phase: value(worker, "phase_seconds_sum", phase=phase) for phase in PHASES}
    assert sum(phases.values()) == value(worker, "job_seconds_sum")
    assert phases.pop("accept") == (identity.created_at(job_id) or 0.0) - came
    assert timings.total_s + phases.pop("publish") == value(worker, "job_seconds_sum")
    assert {f"{phase}_s": seconds for phase, seconds in phases.items()}.items() <= dict(
        timings
    ).items()
    assert all(seconds > 0 for seconds in phases.values())


def test_the_device_seconds_of_all_keys_are_the_time_that_it_worked(
    worker: BatchWorker, jobs: Queue, connection: Redis
) -> None:
    """Of jobs in company, one of which is cancelled and another fails."""
    keys = [add_key(connection, name, KeyLimits()).key for name in ("team-a", "team-b")]
    worker._intake._tables.build("euler", LONG)
    doomed = enqueue(jobs, "", steps=LONG)
    job_in(connection, doomed, JobState.RUNNING)
    job_ids = [enqueue(jobs, key.id, images=2, seed=n) for n, key in enumerate(keys)]
    records = [job_in(connection, job_id) for job_id in job_ids]
    endings.cancel(connection, doomed)
    until(lambda: value(worker, "jobs_total", outcome="cancelled"))
    until(lambda: value(worker, "jobs_total", outcome="succeeded") == 2)
    for key, record in zip(keys, records, strict=True):
        assert record.result is not None
        assert value(worker, "device_seconds_total", key=key.name) == record.result.device_s > 0
    assert total(worker, "device_busy_seconds_total") == pytest.approx(
        total(worker, "device_seconds_total"), rel=1e-9
    )
    useful = sum(record.request.row_steps for record in records)
    wasted = value(worker, "row_steps_wasted_total")
    assert wasted > 0
    assert wasted + useful == value(worker, "rows_total")


def test_a_cancellation_that_was_not_heard_is_one_all_the_same(
    worker: BatchWorker, ask: Ask, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the lease away, which is what a beat sees first of it."""
    monkeypatch.setattr(endings, "send_command", lambda *_, **__: None)
    job_id = ask(steps=LONG)
    job_in(connection, job_id, JobState.RUNNING)
    until(lambda: worker.executions)
    endings.cancel(connection, job_id)
    until(lambda: total(worker, "jobs_total"))
    assert value(worker, "jobs_total", outcome="cancelled") == 1


def test_a_job_that_is_cancelled_while_it_is_published_is_not_lost(
    worker: BatchWorker, ask: Ask, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    storeroom = worker._publisher._storeroom
    put = storeroom.put

    def put_late(content: bytes, siblings: Sequence[str] = ()) -> str:
        endings.cancel(connection, job_id)
        return put(content, siblings)

    monkeypatch.setattr(storeroom, "put", put_late)
    job_id = ask()
    until(lambda: total(worker, "jobs_total"))
    assert value(worker, "jobs_total", outcome="cancelled") == 1
    assert value(worker, "row_steps_wasted_total") == 8 * 2


def test_a_job_whose_pictures_cannot_be_stored_leaves_the_engine_and_is_counted_whole(
    worker: BatchWorker, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(content: bytes, siblings: Sequence[str] = ()) -> str:
        raise StoreUnavailable("It is away.")

    monkeypatch.setattr(worker._publisher._storeroom, "put", refuse)
    ask(images=10, steps=60)  # two of which wait for room
    until(lambda: value(worker, "jobs_total", outcome="failed") and worker.engine.is_idle)
    until(lambda: not worker._intake.jobs)
    rows = value(worker, "rows_total")
    assert rows < 10 * 60 * 2
    assert value(worker, "row_steps_wasted_total") == rows
    assert total(worker, "device_busy_seconds_total") == pytest.approx(
        total(worker, "device_seconds_total"), rel=1e-9
    )


def test_what_no_checkpoint_kept_of_a_dead_workers_work_is_wasted(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    job_id = ask(steps=10, images=2)
    connection.hset(progress_key(job_id), mapping={"share": "0.4", "step": 4})
    connection.hset(Job.key_for(job_id), "attempts", 1)
    with running(make_worker()) as worker:
        job_in(connection, job_id)
        until(lambda: value(worker, "jobs_total", outcome="succeeded"))
    assert value(worker, "row_steps_wasted_total") == 0.4 * 10 * 2 * 2


def test_a_device_that_hangs_is_seen_from_outside(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    """Whatever is in the engine is told before the step that does not end."""
    seen: list[float] = []
    hook = worker.engine.model.unet.register_forward_pre_hook(
        lambda *_: seen.append(value(worker, "engine_rows"))
    )
    try:
        job_in(connection, ask(steps=3))
    finally:
        hook.remove()
    assert seen == [2.0] * 3
    until(lambda: value(worker, "engine_rows") == 0)
    last = value(worker, "last_step_timestamp_seconds")
    until(lambda: value(worker, "last_step_timestamp_seconds") > last)  # idle is alive


def test_whatever_is_asked_there_are_few_series_and_no_secret_in_them(
    worker: BatchWorker, jobs: Queue, connection: Redis
) -> None:
    counts, secrets = [], ["private"]
    for n in range(3):
        key = add_key(connection, f"team-{n}", KeyLimits()).key
        for sampler, steps, width in (("euler", 3, 64), ("unipc", 4, 72 + 8 * n), ("lcm", 99, 64)):
            asked = {"prompt": f"private {n}", "sampler": sampler, "steps": steps, "seed": n}
            secrets.append(enqueue(jobs, key.id, **asked, width=width, images=2))
        secrets.append(key.id)
        until(lambda n=n: total(worker, "jobs_total") == 3 * (n + 1))
        counts.append(len(series(worker)))
    assert counts[1] - counts[0] == counts[2] - counts[1] == 1  # the name of the key
    assert counts[0] + MOST_NAMES < 800
    labels = {label for each in series(worker) for label in each.labels.values()}
    assert {"team-0", "team-1", "team-2"} < labels
    assert not [label for label in labels for secret in secrets if secret in label]


def test_the_page_of_metrics_is_what_there_is(metrics: WorkerMetrics) -> None:
    metrics.failed("no_model", "team-a", Development("id", job_request()))
    found = dict(metrics_page.shown(metrics.registry))
    told = dict(metrics_page.written("A worker"))
    on_a_gpu = "darkroom_device_memory_bytes"  # without one it has no sample
    assert (found.pop(on_a_gpu), told.pop(on_a_gpu)) == (
        ("gauge", frozenset()),
        ("gauge", frozenset({"kind"})),
    )
    assert found == told


def test_each_way_to_fail_is_counted_from_zero(metrics: WorkerMetrics) -> None:
    """Prometheus sees no increase in what begins with the first burst of it."""
    for code in ("deadline_exceeded", "not_finite", "store_unavailable", "worker_lost"):
        assert metrics.registry.get_sample_value("darkroom_job_errors_total", {"code": code}) == 0


def test_metrics_are_served_on_a_port_of_their_own(metrics: WorkerMetrics) -> None:
    server, port = metrics.serve("127.0.0.1", 0)
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"darkroom_job_seconds_bucket" in answer.read()
    finally:
        server.shutdown()
        server.server_close()


def test_a_taken_port_is_named(metrics: WorkerMetrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSetting, match=f"DARKROOM_METRICS_PORT.*{port}"):
            metrics.serve("127.0.0.1", port)
