import socket
from urllib.request import urlopen

import pytest
from redis import Redis

from contract.errors import BadSetting
from contract.timeline import PHASES
from tests.waiting import job_in, until
from tests.worker.conftest import Ask
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine
from worker.metrics import WorkerMetrics
from worker.tables import TableCache


@pytest.fixture
def metrics(engine: Engine) -> WorkerMetrics:
    return WorkerMetrics(engine, TableCache(engine.model.scheduler_config))


def test_every_phase_of_a_job_is_counted(worker: BatchWorker, ask: Ask, connection: Redis) -> None:
    for job_id in (ask(images=2), ask(sampler="lcm", steps=99)):
        job_in(connection, job_id)
    until(lambda: not worker.executions)
    value = worker._metrics.registry.get_sample_value
    assert value("darkroom_job_seconds_count") == 1
    phases = [{"phase": phase} for phase in PHASES]
    assert [value("darkroom_phase_seconds_count", each) for each in phases] == [1.0] * len(PHASES)
    sums = [value("darkroom_phase_seconds_sum", each) for each in phases]
    assert sum(sums) == value("darkroom_job_seconds_sum")
    assert value("darkroom_pictures_total") == 2
    assert value("darkroom_jobs_total", {"outcome": "succeeded"}) == 1
    assert value("darkroom_job_errors_total", {"code": "sampler_refused"}) == 1
    assert value("darkroom_steps_total") == value("darkroom_rows_per_step_count") == 8
    assert value("darkroom_rows_total") == 8 * 4
    assert value("darkroom_cache_misses_total", {"cache": "prompt"}) == 2
    assert value("darkroom_cache_hits_total", {"cache": "prompt"}) == 2


def test_no_label_holds_a_prompt_or_an_id(worker: BatchWorker, ask: Ask, connection: Redis) -> None:
    job_id = ask(prompt="a very private prompt")
    job_in(connection, job_id)
    labels = [
        value
        for metric in worker._metrics.registry.collect()
        for sample in metric.samples
        for name, value in sample.labels.items()
        if name != "le"
    ]
    known = {"succeeded", "failed", "cancelled", "lost", "prompt", "table", "sampler_refused"}
    assert set(labels) <= known | set(PHASES)


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
