"""A worker whose device is late, as a GPU is: what it tells is the same."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from contract.job import JobState
from tests.engine.late_stream import LateStream
from tests.reference import Wish, develop
from tests.waiting import job_in
from tests.worker.conftest import Ask, running
from tests.worker.test_batch_worker import assert_same_picture, pixels
from tests.worker.test_previews import news
from worker.batch_worker import BatchWorker
from worker.engine.engine import Engine


@pytest.fixture
def late(make_worker: Callable[..., BatchWorker]) -> Iterator[BatchWorker]:
    with running(make_worker(stream=LateStream(delay=9))) as worker:
        yield worker


def test_its_pictures_are_the_same(
    late: BatchWorker, ask: Ask, connection: Redis, engine: Engine
) -> None:
    job_id = ask(images=3, steps=12, seed=4)
    others = [ask(steps=steps, sampler="euler_a", width=96) for steps in (1, 3, 30)]
    record = job_in(connection, job_id)
    for n in range(3):
        expected = develop(engine.model, Wish(steps=12, seed=4 + n)).pixels[0]
        assert_same_picture(pixels(connection, record, n), expected)
    for other in others:
        assert job_in(connection, other).state is JobState.SUCCEEDED


def test_its_previews_and_its_progress_are_told(
    late: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(images=2, previews=3, steps=40)
    record = job_in(connection, job_id, JobState.SUCCEEDED)
    shown = [event.fields["step"] for event in news(connection, job_id) if event.content]
    assert sorted(shown) == ["10", "10", "20", "20", "30", "30"]
    assert record.result is not None
    assert record.result.device_s > 0
