"""Previews on their way from the engine to whoever listens."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from redis import Redis

from contract.events import EventKind, JobEvent
from contract.job import JobRecord, JobState, read_job
from contract.news import BEGINNING, read_news
from contract.previews import MOST_BYTES
from contract.sizes import Size
from tests.waiting import job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker
from worker.encoding import PREVIEW_SIDE, encode_preview


def news(connection: Redis, job_id: str) -> list[JobEvent]:
    return read_news(connection, {job_id: BEGINNING})[job_id]


def test_each_picture_is_shown_as_often_as_asked(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(images=2, previews=3, steps=40, width=64, height=32)
    job_in(connection, job_id, JobState.SUCCEEDED)
    shown = [event for event in news(connection, job_id) if event.kind is EventKind.PREVIEW]
    told = [(event.fields["image"], event.fields["index"]) for event in shown]
    assert sorted(told) == [(image, index) for image in "01" for index in "012"]
    assert {event.fields["step"] for event in shown} == {"10", "20", "30"}
    for event in shown:
        assert event.content is not None
        assert len(event.content) <= MOST_BYTES
        with Image.open(io.BytesIO(event.content)) as image:
            assert (image.format, image.size) == ("WEBP", (64, 32))


def test_nobody_is_shown_what_nobody_asked_for(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(steps=20)
    job_in(connection, job_id, JobState.SUCCEEDED)
    assert EventKind.PREVIEW not in {event.kind for event in news(connection, job_id)}
    assert worker.engine.__dict__.get("previewer") is None


def test_steps_are_told_in_order_with_the_time_that_is_left(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    job_id = ask(images=2, steps=100)

    def estimated() -> JobRecord | None:
        record = read_job(connection, job_id)
        return record if record is not None and record.left_s else None

    record = until(estimated)
    assert record.state is JobState.RUNNING
    job_in(connection, job_id, JobState.SUCCEEDED)
    told = [event for event in news(connection, job_id) if event.kind is EventKind.PROGRESS]
    steps = [int(event.fields["step"]) for event in told]
    assert steps == sorted(set(steps))
    assert 0 <= steps[0] <= steps[-1] <= 100
    left = [float(event.fields["left_s"]) for event in told if event.fields["left_s"]]
    assert left
    assert min(left) >= 0


def test_a_redis_that_takes_no_previews_holds_up_no_picture(
    make_worker: Callable[[], BatchWorker], ask: Ask, connection: Redis
) -> None:
    worker = make_worker()
    held = [worker._previews._room.acquire(blocking=False) for _ in range(64)]
    assert all(held)  # as if so many waited
    with running(worker):
        job_id = ask(previews=3)
        job_in(connection, job_id, JobState.SUCCEEDED)
    assert EventKind.PREVIEW not in {event.kind for event in news(connection, job_id)}


def test_the_largest_preview_has_room() -> None:
    """Noise, which no encoder makes small."""
    side = PREVIEW_SIDE
    noise = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    assert len(encode_preview(noise, Size(side, side))) < MOST_BYTES
