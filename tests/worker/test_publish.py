"""What is finished waits for a Redis that cannot take it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from redis import Redis
from rq.job import Job

from contract import deletion, finished
from contract.job import JobState, read_job
from contract.pictures.redis_store import RedisStore
from contract.workers import ModelCard
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker


@contextmanager
def full(connection: Redis) -> Iterator[None]:
    connection.config_set("maxmemory", 1)
    try:
        yield
    finally:
        connection.config_set("maxmemory", 0)


@contextmanager
def read_only(connection: Redis) -> Iterator[None]:
    """A replica takes no writes, as after a failover behind the worker's back."""
    connection.config_set("replica-read-only", "yes")
    connection.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        connection.replicaof("NO", "ONE")


@pytest.mark.parametrize("trouble", [full, read_only])
def test_a_picture_waits_for_a_redis_that_cannot_be_written_to(
    worker: BatchWorker,
    ask: Ask,
    connection: Redis,
    trouble: Callable[[Redis], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = ask(steps=60)
    job_in(connection, job_id, JobState.RUNNING)
    with trouble(connection):
        until(lambda: "waits for Redis" in caplog.text)
        record = read_job(connection, job_id)
        assert record is not None
        assert record.state is JobState.RUNNING
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    assert connection.xlen(f"rq:results:{job_id}") == 1
    assert connection.hget(Job.key_for(job_id), "done_by") is not None


def test_pictures_that_may_have_expired_before_the_last_one_are_stored_again(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    worker = make_worker()
    worker._publisher._lifetime_s = 0  # so that any pause is a long one
    storeroom = worker._publisher._storeroom
    put = storeroom.put

    def forgetful(content: bytes, siblings: Sequence[str] = ()) -> str:
        """What was stored before is gone, until it is stored a second time."""
        digest = put(content, siblings)
        if digest not in seen:
            connection.delete(f"darkroom:picture:{digest}")
        seen.append(digest)
        return digest

    seen: list[str] = []
    storeroom.put = forgetful  # type: ignore[method-assign]
    with running(worker):
        record = job_in(connection, ask(images=3, steps=2))
    assert record.result is not None
    store = RedisStore(connection, 600)
    assert all(store.get(image.sha256) for image in record.result.images)


def test_a_finished_job_says_of_which_model_it_is_and_answers_an_equal_one(
    worker: BatchWorker, ask: Ask, connection: Redis, card: ModelCard
) -> None:
    record = job_in(connection, ask(images=2, steps=2, format="webp", quality=80))
    assert record.result is not None
    assert record.result.model_fingerprint == card.fingerprint != ""
    found = finished.find(connection, "", record.request, card.fingerprint)
    assert found is not None
    assert found.result == record.result
    for digest in record.result.digests:
        assert connection.smembers(f"darkroom:holders:{digest}") == {record.id.encode()}
    content = RedisStore(connection, 600).get(record.result.digests[0])
    assert content is not None
    assert content[8:12] == b"WEBP"


def test_a_picture_that_is_being_deleted_is_put_anew(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    """The store would lose it otherwise, after the job has ended with it."""
    store = RedisStore(connection, 600)
    first = job_in(connection, ask(steps=2))
    begun = deletion.begin(connection, first)
    job_id = ask(steps=2)
    until(lambda: worker._publisher.behind == 1)
    store.delete(begun.pictures)
    deletion.finish(connection, begun, 600)
    second = job_in(connection, job_id)
    assert second.result is not None
    assert second.result.digests == list(begun.pictures)
    assert store.get(second.result.digests[0]) is not None
