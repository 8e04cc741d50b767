from redis import Redis
from rq import Queue

from contract.endings import commit
from contract.events import EventKind, JobEvent
from contract.news import BEGINNING, read_news
from contract.previews import (
    MOST_BYTES,
    JobPreview,
    latest_preview,
    previews_key,
    write_preview,
)
from tests.contract.conftest import Ask
from tests.contract.records import taken
from tests.contract.samples import job_result


def shown(connection: Redis, job_id: str) -> list[JobEvent]:
    events = read_news(connection, {job_id: BEGINNING}).get(job_id, [])
    return [event for event in events if event.kind is EventKind.PREVIEW]


def preview(index: int = 0, content: bytes = b"webp") -> JobPreview:
    return JobPreview(image=1, index=index, step=7, width=64, height=32, content=content)


def test_a_preview_comes_once_with_its_bytes(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    for index in (0, 1, 1):
        write_preview(connection, job_id, held.execution.id, preview(index, b"webp %d" % index))
    first, second = shown(connection, job_id)
    fields = {"image": "1", "index": "0", "step": "7", "width": "64", "height": "32"}
    assert (first.fields, first.content) == (fields, b"webp 0")
    assert (second.fields["index"], second.content) == ("1", b"webp 1")


def test_the_bytes_expire_before_the_event(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    write_preview(connection, job_id, held.execution.id, preview())
    assert connection.ttl(previews_key(job_id)) > 0
    connection.delete(previews_key(job_id))
    assert [event.content for event in shown(connection, job_id)] == [None]


def test_what_is_too_large_or_too_late_is_left_out(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = taken(jobs)
    write_preview(connection, job_id, held.execution.id, preview(0, bytes(MOST_BYTES + 1)))
    commit(held, job_result("a"))
    write_preview(connection, job_id, held.execution.id, preview(1))
    assert shown(connection, job_id) == []
    assert not connection.exists(previews_key(job_id))


def test_the_latest_one_is_of_the_first_picture_that_is_as_far_as_any(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = taken(jobs)
    assert latest_preview(connection, job_id) is None
    seen = []
    for image, index in ((1, 0), (0, 0), (0, 1), (1, 1), (1, 2), (1, 10)):
        shown = JobPreview(image, index, 7, 64, 32, b"%d.%d" % (image, index))
        write_preview(connection, job_id, held.execution.id, shown)
        latest = latest_preview(connection, job_id)
        assert latest is not None
        seen.append(latest.content)
    assert latest.number == 6
    assert seen == [b"1.0", b"0.0", b"0.1", b"0.1", b"1.2", b"1.10"]
