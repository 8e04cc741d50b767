"""What becomes of jobs whose pictures the store does not take."""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from PIL import Image
from redis import Redis
from rq import Queue
from rq.job import Job

from contract import queue
from contract.connections import connect
from contract.errors import StoreUnavailable
from contract.job import JobState
from contract.pictures.folder_store import LAST_SWEEP, FolderStore
from contract.workers import ModelCard
from tests.waiting import job_in, until
from tests.worker.conftest import MODEL, Ask, running
from worker import storeroom
from worker.announcement import worker_card
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.storeroom import Storeroom
from worker.tables import TableCache


class Flaky:
    """A store in memory that fails as often as it is told to."""

    def __init__(self, failures: int):
        self.failures = failures
        self.attempts = 0

    def put(self, content: bytes) -> str:
        self.attempts += 1
        if self.failures > 0:
            self.failures -= 1
            raise StoreUnavailable("The store is full.")
        return content.decode()

    def renew(self, digests: Sequence[str]) -> None: ...

    def get(self, digest: str) -> bytes | None:
        raise NotImplementedError

    def sweep(self) -> None: ...

    def close(self) -> None: ...


class Choosy(Flaky):
    """Takes all pictures but one."""

    def put(self, content: bytes) -> str:
        if content == b"bad":
            raise StoreUnavailable("Permission denied.")
        return super().put(content)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storeroom, "PATIENCE_S", 0.4)
    monkeypatch.setattr(storeroom, "pause_s", lambda failures: min(0.02 * failures, 0.05))


@pytest.mark.usefixtures("hurried")
def test_a_store_that_comes_back_in_time_gets_the_picture() -> None:
    store = Flaky(3)
    assert Storeroom(store, Event()).put(b"a") == "a"
    assert store.attempts == 4


@pytest.mark.usefixtures("hurried")
def test_patience_is_with_an_outage_and_not_with_each_picture() -> None:
    store = Flaky(10_000)
    room = Storeroom(store, Event())
    with pytest.raises(StoreUnavailable):
        room.put(b"a")
    waited = store.attempts
    assert waited > 3
    with pytest.raises(StoreUnavailable):
        room.put(b"b")
    assert store.attempts == waited + 1
    store.failures = 0
    assert room.put(b"c") == "c"
    store.failures = 3
    assert room.put(b"d") == "d"


@pytest.mark.usefixtures("hurried")
def test_a_failure_of_long_ago_is_another_outage() -> None:
    store = Flaky(10_000)
    room = Storeroom(store, Event())
    with pytest.raises(StoreUnavailable):
        room.put(b"a")
    store.failures = 3
    room._failed_at -= 100
    assert room.put(b"b") == "b"


def test_a_worker_that_stops_does_not_wait_for_a_store() -> None:
    closing = Event()
    room = Storeroom(Flaky(10_000), closing)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(room.put, b"a")
        closing.set()
        assert isinstance(waiting.exception(10), StoreUnavailable)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def make_worker(
    engine: Engine, settings: WorkerSettings, card: ModelCard, redis_url: str, folder: Path
) -> Iterator[Callable[[], BatchWorker]]:
    """Makes workers whose store is a folder."""
    clients: list[Redis] = []
    stored = settings.model_copy(update={"pictures": f"file://{folder}"})

    def make() -> BatchWorker:
        clients.append(connect(redis_url, timeout_s=3.0))
        fresh = Engine(engine.model, engine.budget)
        tables = TableCache(engine.model.scheduler_config)
        cards = worker_card(fresh, stored, metrics_port=0), card
        jobs = queue.model_queue(clients[-1], MODEL)
        return BatchWorker(jobs, fresh, tables, WorkerMetrics(fresh, tables), stored, *cards)

    yield make
    for client in clients:
        client.close()


def test_pictures_are_kept_where_the_setting_says(
    make_worker: Callable[[], BatchWorker], ask: Ask, folder: Path, connection: Redis
) -> None:
    with running(make_worker()):
        record = job_in(connection, ask())
        assert until(lambda: (folder / LAST_SWEEP).exists())
    assert record.result is not None
    content = FolderStore(folder, 600).get(record.result.images[0].sha256)
    assert content is not None
    assert Image.open(io.BytesIO(content)).size == (64, 64)
    assert connection.keys("darkroom:picture:*") == []


@pytest.mark.usefixtures("hurried")
def test_a_job_fails_honestly_whose_pictures_nobody_keeps(
    make_worker: Callable[[], BatchWorker], ask: Ask, folder: Path, connection: Redis
) -> None:
    with running(make_worker()) as worker:
        folder.rename(folder.with_name("away"))
        record = job_in(connection, ask(images=3, steps=2))
        assert record.state is JobState.FAILED
        assert record.error is not None
        assert record.error.code == "store_unavailable"
        folder.with_name("away").rename(folder)
        assert job_in(connection, ask()).state is JobState.SUCCEEDED
        errors = {"code": "store_unavailable"}
        value = worker._metrics.registry.get_sample_value
        assert value("darkroom_job_errors_total", errors) == 1


def test_a_picture_waits_for_its_store(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    folder: Path,
    connection: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(make_worker()):
        folder.rename(folder.with_name("away"))
        job_id = ask(steps=2)
        until(lambda: "pictures wait for their store" in caplog.text)
        folder.with_name("away").rename(folder)
        assert job_in(connection, job_id).state is JobState.SUCCEEDED


def test_a_worker_that_stops_leaves_to_others_what_its_store_did_not_take(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    jobs: Queue,
    folder: Path,
    connection: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(make_worker()):
        folder.rename(folder.with_name("away"))
        job_id = ask(steps=2)
        until(lambda: "pictures wait for their store" in caplog.text)
    assert job_in(connection, job_id, JobState.QUEUED).queue_position == 1
    assert connection.hget(Job.key_for(job_id), "execution_id") is None
    folder.with_name("away").rename(folder)
    with running(make_worker()):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("hurried")
def test_a_store_that_hangs_keeps_a_few_threads_and_no_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storeroom, "ANSWER_S", 0.01)
    monkeypatch.setattr(storeroom, "MOST_HUNG", 3)
    store, opened = Flaky(0), Event()
    monkeypatch.setattr(store, "renew", lambda digests: opened.wait(60))
    room = Storeroom(store, Event())
    with pytest.raises(StoreUnavailable):
        room.put(b"a")
    assert store.attempts == 3
    opened.set()
    for thread in room._hung:
        thread.join(60)
    monkeypatch.setattr(storeroom, "ANSWER_S", 60)
    assert room.put(b"b") == "b"


@pytest.mark.usefixtures("hurried")
def test_a_picture_that_the_store_alone_refuses_does_not_wait_for_ever() -> None:
    room, gave_up = Storeroom(Choosy(0), Event()), Event()

    def put_others() -> None:
        while not gave_up.wait(0.01):
            room.put(b"good")

    with ThreadPoolExecutor(1) as others:
        others.submit(put_others)
        with pytest.raises(StoreUnavailable, match="Permission denied"):
            room.put(b"bad")
        gave_up.set()
