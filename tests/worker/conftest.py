"""A worker that runs in a thread, with a tiny model and a real Redis."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from redis import Redis
from rq import Queue

from contract import identity, queue
from contract.connections import connect
from contract.request import JobRequest
from contract.workers import ModelCard
from tests.checkpoints import build_checkpoint
from tests.waiting import until
from worker.announcement import model_card, worker_card
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine
from worker.engine.stream import Stream
from worker.job_ends import JobEnds
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.tables import TableCache

MODEL = "tiny"

Ask = Callable[..., str]
"""Puts a job into the queue and returns its id; takes the fields of a `JobRequest`."""


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> WorkerSettings:
    checkpoint = build_checkpoint(tmp_path_factory.mktemp("models") / MODEL)
    return WorkerSettings(
        checkpoint=checkpoint, worker_name="test", threads=1, max_rows=16, device="cpu"
    )


@pytest.fixture(scope="session")
def engine(settings: WorkerSettings) -> Engine:
    return start_engine(settings)


@pytest.fixture(scope="session")
def card(engine: Engine, settings: WorkerSettings) -> ModelCard:
    return model_card(engine, settings)


@pytest.fixture
def jobs(connection: Redis) -> Queue:
    return queue.model_queue(connection, MODEL)


@pytest.fixture
def ask(jobs: Queue) -> Ask:
    def enqueue(**fields: object) -> str:
        asked = {
            "prompt": "a red circle",
            "model": MODEL,
            "seed": 0,
            "width": 64,
            "height": 64,
            "steps": 8,
            "sampler": "euler",
        } | fields
        job_id = identity.new_job_id()
        queue.enqueue(jobs, job_id, JobRequest.model_validate(asked), ttl_s=600)
        return job_id

    return enqueue


@pytest.fixture
def make_worker(
    engine: Engine, settings: WorkerSettings, card: ModelCard, redis_url: str, connection: Redis
) -> Iterator[Callable[..., BatchWorker]]:
    """Makes workers on connections of their own, as processes would have them."""
    clients: list[Redis] = []

    def make(
        ends: JobEnds | None = None, stream: Stream | None = None, max_side: int | None = None
    ) -> BatchWorker:
        client = connect(redis_url, timeout_s=3.0)
        clients.append(client)
        fresh = Engine(engine.model, engine.budget, stream=stream)
        tables = TableCache(engine.model.scheduler_config)
        drawn = {"max_side": card.max_side if max_side is None else max_side}
        return BatchWorker(
            queue.model_queue(client, MODEL),
            fresh,
            tables,
            WorkerMetrics(fresh, tables),
            settings,
            worker_card(fresh, settings, metrics_port=0).model_copy(update=drawn),
            card.model_copy(update=drawn),
            ends,
        )

    yield make
    for client in clients:
        client.close()


@contextmanager
def running(worker: BatchWorker) -> Iterator[BatchWorker]:
    """The worker at work in a thread; stopped in an orderly way at the end."""
    thread = Thread(target=worker.work)
    thread.start()
    try:
        until(lambda: worker.pubsub_thread is not None)
        yield worker
    finally:
        if not worker._stopping.is_set():  # a second signal would end this process
            worker.request_stop(signal.SIGTERM, None)
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def worker(make_worker: Callable[[], BatchWorker]) -> Iterator[BatchWorker]:
    with running(make_worker()) as worker:
        yield worker
