"""Jobs are taken and given back, and RQ's own records tell the truth after each move."""

import zlib
from typing import Any

import pytest
from redis import Redis, WatchError
from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import (
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer

from contract import queue
from contract.claims import MOST_LOST, claim, requeue, take
from contract.endings import cancel, commit
from contract.errors import MalformedJob
from contract.events import read_events
from contract.identity import new_job_id
from contract.job import JobState, read_job
from contract.request import JobRequest
from tests.contract.conftest import Ask
from tests.contract.records import (
    WORKER,
    assert_only_the_second_ends,
    rq_job,
    started,
    state,
    taken,
)
from tests.contract.samples import job_result
from tests.contract.test_leases import held_leases
from tests.faults.history import offences


def test_oldest_job_is_taken_first(jobs: Queue, ask: Ask) -> None:
    ids = [ask() for _ in range(3)]
    assert [taken(jobs).job_id for _ in ids] == ids
    assert take(jobs, WORKER) is None


def test_a_claim_shows_in_rqs_records(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    job = rq_job(connection, job_id)
    assert job.get_status() is JobStatus.STARTED
    assert job.worker_name == WORKER
    assert started(jobs) == [job_id]
    assert [execution.id for execution in job.get_executions()] == [held.execution.id]
    assert queue.depth(jobs) == 0
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_job_queued_twice_is_taken_once(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    connection.rpush(jobs.key, job_id)
    held = taken(jobs)
    assert take(jobs, "gpu-2") is None
    assert rq_job(connection, job_id).worker_name == WORKER
    assert connection.llen(jobs.intermediate_queue_key) == 0
    commit(held, job_result("a"))


def test_a_double_of_an_ended_job_is_dropped(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    commit(taken(jobs), job_result("a"))
    connection.rpush(jobs.key, job_id)
    assert take(jobs, WORKER) is None
    assert state(connection, job_id) is JobState.SUCCEEDED


def test_an_id_without_a_record_is_dropped(connection: Redis, jobs: Queue, ask: Ask) -> None:
    connection.rpush(jobs.key, new_job_id())
    job_id = ask()
    assert taken(jobs).job_id == job_id
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_what_does_not_fit_stays_in_the_queue(connection: Redis, jobs: Queue, ask: Ask) -> None:
    large, small = ask(steps=100), ask(steps=1)
    assert take(jobs, WORKER, lambda request, is_suspect: request.steps < 50) is None
    assert jobs.get_job_ids() == [large, small]
    held = take(jobs, WORKER, lambda request, is_suspect: request.steps > 50)
    assert held is not None
    assert held.job_id == large


def test_only_the_job_that_was_looked_at_is_taken(jobs: Queue, ask: Ask) -> None:
    """Another one may come back to the front between the look and the pop."""
    suspect, _plain = ask(seed=1), ask(seed=2)
    held = taken(jobs)
    looks: list[int | None] = []

    def fits(request: JobRequest, is_suspect: bool) -> bool:
        looks.append(request.seed)
        if len(looks) == 1:
            requeue([held])
        return request.seed == 2

    assert take(jobs, WORKER, fits) is None
    assert looks == [2, 1]
    assert jobs.get_job_ids()[0] == suspect


def test_who_is_outrun_twice_leaves_the_queue_to_those_who_are_quicker(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    asked = [ask() for _ in range(MOST_LOST + 1)]

    def outrun(request: JobRequest, is_suspect: bool) -> bool:
        connection.lpop(jobs.key)
        return True

    assert take(jobs, WORKER, outrun) is None
    assert connection.lrange(jobs.key, 0, -1) == [asked[-1].encode()]


def test_a_claim_whose_answer_was_lost_is_found(
    connection: Redis, jobs: Queue, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, execute, lost = ask(), Pipeline.execute, []

    def lose_first(self: Pipeline, *arguments: Any, **options: Any) -> Any:
        answer = execute(self, *arguments, **options)
        if not lost:
            lost.append(answer)
            raise WatchError  # as redis-py does where the line breaks in a transaction
        return answer

    monkeypatch.setattr(Pipeline, "execute", lose_first)
    held = taken(jobs)
    assert (held.job_id, lost != []) == (job_id, True)
    assert started(jobs) == [job_id]
    commit(held, job_result("a"))
    assert state(connection, job_id) is JobState.SUCCEEDED


@pytest.mark.parametrize("field", ["strikes", "attempts", "deaths"])
def test_a_number_that_is_none_stops_nobody(
    connection: Redis, jobs: Queue, ask: Ask, field: str
) -> None:
    job_id = ask()
    connection.hset(Job.key_for(job_id), field, "many")
    assert taken(jobs).job_id == job_id


@pytest.mark.parametrize("member", [b"\xff\xfe", b"text"])
def test_what_is_no_job_is_dropped(connection: Redis, jobs: Queue, ask: Ask, member: bytes) -> None:
    connection.set(Job.key_for("text"), "no hash")
    connection.rpush(jobs.key, member)
    job_id = ask()
    assert taken(jobs).job_id == job_id
    assert connection.llen(jobs.intermediate_queue_key) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("created_at", b"yesterday"), ("data", b"\x80\x05pickled"), ("data", zlib.compress(b"[1]"))],
)
def test_a_record_that_cannot_be_read_is_set_aside(
    connection: Redis, jobs: Queue, ask: Ask, field: str, value: bytes
) -> None:
    broken, sound = ask(), ask()
    connection.hset(Job.key_for(broken), field, value)
    assert taken(jobs).job_id == sound
    assert connection.hget(Job.key_for(broken), "status") == b"failed"
    assert connection.ttl(Job.key_for(broken)) > 0
    assert connection.llen(jobs.intermediate_queue_key) == 0
    with pytest.raises(MalformedJob):
        read_job(connection, broken)
    with pytest.raises(MalformedJob):
        cancel(connection, broken)


def test_rqs_own_lease_is_long_enough_for_rq_info(jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    registry = StartedJobRegistry(jobs.name, jobs.connection, serializer=JSONSerializer)
    assert registry.get_job_ids(cleanup=True) == [held.job_id]
    assert jobs.connection.ttl(Execution(held.execution.id, held.job_id, jobs.connection).key) >= 60


def test_requeue_puts_jobs_to_the_front_in_their_old_order(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    ids = [ask() for _ in range(4)]
    requeue([taken(jobs), taken(jobs)])
    assert jobs.get_job_ids() == ids
    assert started(jobs) == []
    record = read_job(connection, ids[0])
    assert record is not None
    assert (record.state, record.worker) == (JobState.QUEUED, None)
    job = rq_job(connection, ids[0])
    assert job.retries_left == queue.RESCUES
    assert job.get_executions() == []
    assert [taken(jobs).job_id for _ in ids] == ids


def test_requeue_leaves_alone_what_was_cancelled(connection: Redis, jobs: Queue, ask: Ask) -> None:
    gone, kept = ask(), ask()
    claims = [taken(jobs), taken(jobs)]
    cancel(connection, gone)
    requeue(claims)
    assert jobs.get_job_ids() == [kept]
    assert state(connection, gone) is JobState.CANCELLED


def test_a_claim_that_races_a_cancel_is_one_or_the_other(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
    cancel(connection, job_id)
    assert claim(jobs, job_id, WORKER) is None
    assert state(connection, job_id) is JobState.CANCELLED
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_move_of_rqs_own_sweep_is_in_the_history_and_its_lease_is_gone(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    """As `rq info` does it when RQ's leases have run out in an outage."""
    job_id = ask()
    first = taken(jobs)
    connection.zadd(jobs.started_job_registry.key, {first.execution.composite_key: 1})
    jobs.started_job_registry.cleanup()
    assert state(connection, job_id) is JobState.QUEUED
    second = taken(jobs, "gpu-2")
    events = read_events(connection, job_id)
    assert [each.fields.get("reason") for each in events] == [None, None, "moved by RQ", None]
    assert held_leases(jobs) == [second.execution.composite_key]
    assert_only_the_second_ends(connection, job_id, first, second)
    assert offences(read_events(connection, job_id)) == []
