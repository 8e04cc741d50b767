from redis import Redis
from rq import Queue

from contract.claims import requeue
from contract.endings import cancel
from contract.events import EventKind, events_key, read_events
from contract.news import BEGINNING, read_news
from contract.progress import JobProgress, write_progress
from tests.contract.conftest import Ask
from tests.contract.records import taken
from tests.faults.history import offences


def told(connection: Redis, job_id: str) -> list[str]:
    events = read_news(connection, {job_id: BEGINNING}).get(job_id, [])
    return [event.fields["step"] for event in events if event.kind is EventKind.PROGRESS]


def test_a_step_is_told_once(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    for share in (0.0, 0.1, 0.11, 0.11, 0.2):
        told_of = JobProgress.of(share, steps=10, left_s=1.0 - share)
        write_progress(connection, {(job_id, held.execution.id): told_of})
    assert told(connection, job_id) == ["0", "1", "2"]
    assert [event.kind for event in read_events(connection, job_id)] == [
        EventKind.QUEUED,
        EventKind.STARTED,
    ]


def test_who_no_longer_has_the_job_tells_nothing(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    first = taken(jobs, "one")
    requeue([first])
    second = taken(jobs, "two")
    late = {(job_id, first.execution.id): JobProgress.of(0.9, steps=10)}
    write_progress(connection, late)
    assert told(connection, job_id) == []
    cancel(connection, job_id)
    write_progress(connection, {(job_id, second.execution.id): JobProgress.of(0.5, steps=10)})
    assert told(connection, job_id) == []
    assert offences(read_events(connection, job_id)) == []


def test_progress_begins_no_history(connection: Redis, jobs: Queue, ask: Ask) -> None:
    """It would never expire."""
    job_id = ask()
    held = taken(jobs)
    connection.delete(events_key(job_id))
    write_progress(connection, {(job_id, held.execution.id): JobProgress.of(0.5, steps=10)})
    assert not connection.exists(events_key(job_id))


def test_no_step_is_lost_to_rounding() -> None:
    for steps in range(1, 151):
        for step in range(steps + 1):
            assert JobProgress.of(round(step / steps, 7), steps).step == step
