from redis import Redis
from rq import Queue

from contract.claims import requeue, take
from contract.endings import cancel, commit, fail
from contract.errors import NotFinite
from contract.events import EventKind, events_key, read_events
from tests.contract.conftest import Ask
from tests.contract.samples import TTL_S, job_result
from tests.faults.history import offences


def kinds(connection: Redis, job_id: str) -> list[EventKind]:
    return [event.kind for event in read_events(connection, job_id)]


def test_the_history_tells_each_move_once(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    first = take(jobs, "one")
    assert first is not None
    requeue([first])
    second = take(jobs, "two")
    assert second is not None
    commit(second, job_result("a"))
    commit(second, job_result("a"))  # as after a lost answer
    history = read_events(connection, job_id)
    assert [event.kind for event in history] == [
        EventKind.QUEUED,
        EventKind.STARTED,
        EventKind.REQUEUED,
        EventKind.STARTED,
        EventKind.SUCCEEDED,
    ]
    assert history[2].fields == {"reason": "handed back"}
    assert history[3].fields == {"worker": "two", "attempt": "2"}
    assert offences(history) == []


def test_a_failure_names_its_code(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    taken = take(jobs, "one")
    assert taken is not None
    fail(taken, NotFinite("It became NaN."))
    assert read_events(connection, job_id)[-1].fields == {"code": NotFinite.code}


def test_a_cancelled_job_has_one_end(connection: Redis, ask: Ask) -> None:
    job_id = ask()
    cancel(connection, job_id)
    assert kinds(connection, job_id) == [EventKind.QUEUED, EventKind.CANCELLED]


def test_the_history_is_kept_as_long_as_the_record(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    ended, waiting = ask(), ask()
    taken = take(jobs, "one")
    assert taken is not None
    commit(taken, job_result("a"))
    assert 0 < connection.ttl(events_key(ended)) <= TTL_S
    assert connection.ttl(events_key(waiting)) > TTL_S


def test_the_checker_finds_what_may_not_be(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    taken = take(jobs, "one")
    assert taken is not None
    commit(taken, job_result("a"))
    history = read_events(connection, job_id)
    assert offences(history[:-1]) == ["the last event is started"]
    assert offences([*history, history[-1]]) == ["succeeded after succeeded"]
    assert offences([history[0], history[1], history[1], history[2]]) == [
        "started after started",
        "its attempts are counted [1, 1]",
    ]
