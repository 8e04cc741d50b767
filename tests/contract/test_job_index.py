"""The list of jobs: in order, by pages, and no longer than the jobs themselves."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from rq import Queue

from contract import identity, job_index, queue
from contract.acceptance import Terms
from contract.claims import take
from contract.endings import cancel, commit, fail
from contract.errors import NotFinite
from contract.events import OPEN_TTL_S
from contract.job import JobState
from contract.job_index import Span, listed
from contract.job_list import Wanted, list_jobs
from tests.contract.records import WORKER, taken
from tests.contract.samples import TTL_S, job_request, job_result
from tests.waiting import until


@pytest.fixture(autouse=True)
def _distinct_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of one millisecond have no order."""
    start = 1_795_509_933_000_000_000
    ticks = iter(range(start, start + 10**12, 1_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(ticks))


def put(jobs: Queue, count: int = 1, owner: str = "", ttl_s: int = TTL_S) -> list[str]:
    job_ids = [identity.new_job_id() for _ in range(count)]
    for job_id in job_ids:
        queue.enqueue(jobs, job_id, job_request(), ttl_s, terms=Terms(owner))
    return job_ids


def ttl_s(connection: Redis) -> int:
    seconds = {connection.ttl(key) for key in connection.keys("darkroom:jobs*")}
    (only,) = seconds
    return int(only)


def test_jobs_come_newest_first_and_each_owner_has_a_list(connection: Redis, jobs: Queue) -> None:
    mine, other = put(jobs, 3, "me"), put(jobs, 2, "you")
    assert listed(connection, "me", 10) == mine[::-1]
    assert listed(connection, "you", 1) == other[:0:-1]
    assert listed(connection, "", 10) == []
    assert listed(connection, "me", 10, cursor=mine[1]) == [mine[0]]


def test_a_span_of_time_bounds_the_list(connection: Redis, jobs: Queue) -> None:
    job_ids = put(jobs, 5)
    times = [datetime.fromtimestamp(identity.created_at(each) or 0, UTC) for each in job_ids]
    assert listed(connection, "", 10, Span(after=times[1], before=times[3])) == [job_ids[2]]
    assert listed(connection, "", 10, Span(before=times[2])) == job_ids[1::-1]
    assert listed(connection, "", 10, Span(before=times[4]), job_ids[2]) == job_ids[1::-1]
    assert listed(connection, "", 10, Span(after=times[4] + timedelta(seconds=1))) == []
    far = Span(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    assert len(listed(connection, "", 10, far)) == 5


def test_the_list_is_kept_as_long_as_its_longest_kept_job(connection: Redis, jobs: Queue) -> None:
    first, second, third = put(jobs, 3)
    assert OPEN_TTL_S - 60 < ttl_s(connection) <= OPEN_TTL_S
    commit(taken(jobs), job_result("a"))
    fail(taken(jobs), NotFinite("It became NaN."))
    assert ttl_s(connection) > TTL_S
    cancel(connection, third)
    assert TTL_S - 60 < ttl_s(connection) <= TTL_S
    assert listed(connection, "", 10) == [third, second, first]


def test_what_is_gone_is_taken_out_by_the_next_move(connection: Redis, jobs: Queue) -> None:
    (short,) = put(jobs, ttl_s=1)
    cancel(connection, short)
    until(lambda: not connection.exists(f"rq:job:{short}"))
    (other,) = put(jobs)
    assert listed(connection, "", 10) == [other]


def test_a_job_whose_acceptance_was_taken_back_is_not_listed(connection: Redis) -> None:
    with connection.pipeline() as pipeline:
        job_index.note(pipeline, "", identity.new_job_id())
        pipeline.execute()
    assert connection.keys("darkroom:jobs*") == []


def test_a_page_goes_on_where_the_last_one_ended(connection: Redis, jobs: Queue) -> None:
    job_ids = put(jobs, 5)
    seen: list[str] = []
    cursor = None
    for length in (2, 2, 1):
        page = list_jobs(connection, "", Wanted(), 2, cursor)
        assert len(page.jobs) == length
        seen += [record.id for record in page.jobs]
        cursor = page.cursor
    assert (seen, cursor) == (job_ids[::-1], None)


def test_jobs_are_wanted_by_state_and_model(connection: Redis, jobs: Queue) -> None:
    other = queue.model_queue(connection, "large")
    ended, running = put(jobs, 2)
    (large,) = put(other)
    waiting, gone = put(jobs, 2)
    commit(taken(jobs), job_result("a"))
    assert take(jobs, WORKER) is not None
    connection.delete(f"rq:job:{gone}")

    def found(*states: JobState, model: str | None = None) -> list[str]:
        page = list_jobs(connection, "", Wanted(frozenset(states), model), 10)
        return [record.id for record in page.jobs]

    assert found() == [waiting, large, running, ended]
    assert found(JobState.SUCCEEDED) == [ended]
    assert found(JobState.QUEUED, JobState.RUNNING) == [waiting, large, running]
    assert found(JobState.QUEUED, model="large") == [large]
    assert found(JobState.FAILED) == []


def test_a_page_looks_at_so_many_jobs_and_no_more(
    connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contract.job_list.SCAN", 2)
    monkeypatch.setattr("contract.job_list.MOST_SCANNED", 4)
    job_ids = put(jobs, 7)
    cancel(connection, job_ids[0])
    wanted = Wanted(frozenset({JobState.CANCELLED}))
    first = list_jobs(connection, "", wanted, 1)
    assert (list(first.jobs), first.cursor) == ([], job_ids[3])
    second = list_jobs(connection, "", wanted, 1, first.cursor)
    assert [record.id for record in second.jobs] == [job_ids[0]]
    assert second.cursor is None
