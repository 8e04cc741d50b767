"""Jobs of a newer contract stand in the queue, and older workers pass them over."""

from typing import Any

import pytest
from redis import Redis
from rq import Queue

from contract import queue
from contract.ability import Ability
from contract.claims import claim, take
from contract.errors import MalformedJob, NewerContract
from contract.events import read_events
from contract.identity import new_job_id
from contract.job import JobState, read_job, read_jobs
from contract.passed_jobs import MOST_READ, PassedJobs
from contract.queue import TASK, model_queue
from contract.version import CONTRACT_VERSION, SINCE, require_known
from tests.contract.conftest import Ask
from tests.contract.records import WORKER, state
from tests.contract.samples import job_request
from tests.newer_jobs import NEWER, ask_newer


def waiting(jobs: Queue) -> list[str]:
    return [queue.queue_text(each) for each in jobs.connection.lrange(jobs.key, 0, -1)]


def taken(jobs: Queue, known: int = CONTRACT_VERSION) -> str | None:
    held = take(jobs, WORKER, passed=PassedJobs(jobs, Ability(known)))
    return held.job_id if held is not None else None


def test_what_is_accepted_says_the_least_version_that_can_draw_it(jobs: Queue, ask: Ask) -> None:
    for fields, version in (({}, 1), ({"guidance_stop": 0.6}, 2)):
        ask(**fields)
        held = take(jobs, WORKER)
        assert held is not None
        assert held.job.kwargs["version"] == version <= CONTRACT_VERSION
        told = held.job.kwargs["request"]
        assert {name: told[name] for name in SINCE if name in told} == fields


def test_a_worker_of_old_leaves_a_guidance_interval_to_a_newer_one(jobs: Queue, ask: Ask) -> None:
    cut, plain = ask(guidance_stop=0.6), ask()
    assert taken(jobs, known=1) == plain
    assert taken(jobs, known=1) is None
    assert taken(jobs) == cut


def test_older_jobs_are_taken_from_behind_newer_ones(jobs: Queue, ask: Ask) -> None:
    newer = [ask_newer(jobs) for _ in range(2)]
    older = ask()
    assert taken(jobs) == older
    assert taken(jobs) is None
    assert waiting(jobs) == newer
    assert jobs.connection.llen(jobs.intermediate_queue_key) == 0
    assert [taken(jobs, NEWER) for _ in newer] == newer


def test_many_newer_jobs_block_nothing_and_are_read_once(jobs: Queue, ask: Ask) -> None:
    newer = [ask_newer(jobs) for _ in range(MOST_READ + 1)]
    older = ask()
    look = PassedJobs(jobs)
    assert look.first_behind() is None
    first = look.first_behind()
    assert first is not None
    assert (first.member, first.at) == (older.encode(), len(newer))
    jobs.connection.delete(*(f"rq:job:{each}" for each in newer))
    again = look.first_behind()
    assert again is not None
    assert again.member == older.encode()
    assert look
    jobs.connection.ltrim(jobs.key, -1, -1)
    assert look.first_behind() is not None
    assert not look


def test_a_newer_job_that_was_popped_is_put_back_where_it_was(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    """By a worker that was waiting for it."""
    newer, older = ask_newer(jobs), ask()
    popped = connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
    urgent = ask(priority="high")
    assert claim(jobs, popped, WORKER) is None
    assert waiting(jobs) == [urgent, newer, older]
    assert connection.llen(jobs.intermediate_queue_key) == 0
    assert state(connection, newer) is JobState.QUEUED
    assert not read_events(connection, newer)
    assert not connection.hexists(f"rq:job:{newer}", "execution_id")


@pytest.mark.parametrize("version", [0, True, "2", None, 1.5])
def test_a_version_that_is_none_fails_the_job_alone(version: Any) -> None:
    with pytest.raises(MalformedJob):
        require_known({"version": version})


def test_a_job_without_a_version_is_of_the_first(jobs: Queue) -> None:
    """As the releases before wrote them."""
    require_known({})
    kwargs = {"request": job_request().model_dump(mode="json"), "deadline": None}
    job = jobs.create_job(TASK, kwargs=kwargs, job_id=new_job_id(), timeout=60)
    jobs.enqueue_job(job)
    assert taken(jobs) == job.id


def test_an_older_reader_says_that_a_job_is_newer(connection: Redis, jobs: Queue) -> None:
    known, unknown = ask_newer(jobs), ask_newer(jobs, mood="blue")
    record = read_job(connection, known)
    assert record is not None
    assert record.queue_position == 1
    with pytest.raises(NewerContract, match=f"version {NEWER} .*upgrade"):
        read_job(connection, unknown)
    assert [each.id for each in read_jobs(connection, [known, unknown])] == [known]


def test_the_queue_of_a_model_is_the_same_for_all_versions(connection: Redis) -> None:
    """What is known of a queue, its order and its depth, holds for jobs of all versions."""
    assert model_queue(connection, "tiny").name == "darkroom-tiny"
