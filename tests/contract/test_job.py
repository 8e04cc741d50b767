from redis import Redis
from rq import Queue
from rq.job import Job

from contract import identity
from contract.claims import take
from contract.endings import cancel, commit, fail
from contract.errors import EngineFault
from contract.job import JobRecord, JobState, ended_among, read_job
from contract.progress import JobProgress, progress_key, write_progress
from tests.contract.conftest import Ask
from tests.contract.samples import job_request, job_result


def read(connection: Redis, job_id: str) -> JobRecord:
    record = read_job(connection, job_id)
    assert record is not None
    return record


def test_a_queued_job_has_a_place_and_no_start(connection: Redis, ask: Ask) -> None:
    ask()
    job_id = ask(prompt="a blue square")
    record = read(connection, job_id)
    assert record.state is JobState.QUEUED
    assert record.request == job_request(prompt="a blue square")
    assert record.queue_position == 2
    assert record.created_at.timestamp() == identity.created_at(job_id)
    assert (record.started_at, record.ended_at, record.progress) == (None, None, None)
    assert (record.result, record.error, record.worker) == (None, None, None)


def test_a_running_job_has_a_worker_and_progress(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = take(jobs, "gpu-1")
    assert held is not None
    assert read(connection, job_id).progress == 0.0
    write_progress(connection, {(job_id, held.execution.id): JobProgress(0.25, 7, left_s=3.5)})
    record = read(connection, job_id)
    assert (record.state, record.worker) == (JobState.RUNNING, "gpu-1")
    assert (record.progress, record.left_s, record.queue_position) == (0.25, 3.5, None)
    assert record.started_at is not None
    assert connection.ttl(progress_key(job_id)) > 0


def test_a_finished_job_has_its_result(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = take(jobs, "gpu-1")
    assert held is not None
    commit(held, job_result("a", "b"))
    record = read(connection, job_id)
    assert record.state is JobState.SUCCEEDED
    assert record.result == job_result("a", "b")
    assert record.started_at is not None
    assert record.ended_at is not None
    assert record.created_at <= record.started_at <= record.ended_at
    assert record.progress is None


def test_a_job_that_failed_outside_of_the_engine_says_so(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = take(jobs, "gpu-1")
    assert held is not None
    fail(held, EngineFault("It broke."))
    connection.hdel(Job.key_for(job_id), "error")  # as RQ's own failures leave it
    error = read(connection, job_id).error
    assert error is not None
    assert error.code == "internal_error"


def test_no_record_is_none(connection: Redis) -> None:
    assert read_job(connection, identity.new_job_id()) is None


def test_those_that_ended_or_are_gone_are_told_from_those_that_run(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    finished, running, waiting, cancelled = ask(), ask(), ask(), ask()
    held = take(jobs, "gpu-1")
    assert held is not None
    commit(held, job_result("a"))
    take(jobs, "gpu-1")
    cancel(connection, cancelled)
    gone = identity.new_job_id()
    asked = [finished, running, waiting, cancelled, gone]
    assert ended_among(connection, asked) == [finished, cancelled, gone]
    assert ended_among(connection, []) == []
