from redis import Redis
from rq import Queue
from rq.job import Job

from contract.endings import commit
from contract.events import EventKind, events_key, read_events
from contract.identity import new_job_id
from contract.news import BEGINNING, last_event_id, note_missed_ends, read_news
from tests.contract.conftest import Ask
from tests.contract.records import rq_job, taken
from tests.contract.samples import job_result


def kinds(connection: Redis, job_id: str) -> list[EventKind]:
    return [event.kind for event in read_events(connection, job_id)]


def test_news_is_what_came_after_the_known(connection: Redis, jobs: Queue, ask: Ask) -> None:
    first, second, unknown = ask(), ask(), new_job_id()
    seen = last_event_id(connection, first)
    held = taken(jobs)
    commit(held, job_result("a"))
    news = read_news(connection, {first: seen, second: BEGINNING, unknown: BEGINNING})
    assert [event.kind for event in news[first]] == [EventKind.STARTED, EventKind.SUCCEEDED]
    assert [event.kind for event in news[second]] == [EventKind.QUEUED]
    assert news.keys() == {first, second}
    assert news[first][-1].id == last_event_id(connection, first)
    assert read_news(connection, {}) == {}
    assert last_event_id(connection, unknown) == BEGINNING


def test_an_end_that_rq_s_tools_made_is_noted_once(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    ended, cancelled, waiting = ask(), ask(), ask()
    commit(taken(jobs), job_result("a"))
    rq_job(connection, cancelled).cancel()
    for _ in range(2):
        gone = note_missed_ends(connection, [ended, cancelled, waiting, "gone"])
        assert gone == ["gone"]
    assert kinds(connection, ended)[-2:] == [EventKind.STARTED, EventKind.SUCCEEDED]
    assert kinds(connection, cancelled) == [EventKind.QUEUED, EventKind.CANCELLED]
    assert kinds(connection, waiting) == [EventKind.QUEUED]


def test_a_history_that_is_made_anew_expires_with_the_record(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    commit(taken(jobs), job_result("a"))
    connection.delete(events_key(job_id))
    assert note_missed_ends(connection, [job_id]) == []
    assert kinds(connection, job_id) == [EventKind.SUCCEEDED]
    kept = connection.ttl(Job.key_for(job_id))
    assert kept - 2 <= connection.ttl(events_key(job_id)) <= kept
