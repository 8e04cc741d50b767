from redis import Redis

from contract import queue
from contract.desks import (
    MODEL_TTL_S,
    TASK_TTL_S,
    choose_model,
    chosen_model,
    job_of_task,
    open_tasks,
    put_away,
    take_on,
)
from contract.endings import cancel
from contract.identity import new_job_id
from tests.contract.samples import MODEL, TTL_S, job_request


def accepted(connection: Redis) -> str:
    job_id = new_job_id()
    queue.enqueue(queue.model_queue(connection, MODEL), job_id, job_request(), TTL_S)
    return job_id


def test_open_jobs_lie_there_oldest_first_with_their_names(connection: Redis) -> None:
    jobs = sorted(accepted(connection) for _ in range(3))
    for job_id, task in zip(reversed(jobs), ("a", None, "c"), strict=True):
        take_on(connection, "mine", job_id, task)
    assert list(open_tasks(connection, "mine").items()) == [
        (jobs[0], "c"),
        (jobs[1], jobs[1]),
        (jobs[2], "a"),
    ]
    assert open_tasks(connection, "other") == {}
    assert connection.ttl("darkroom:desk:mine") > 0


def test_what_has_ended_or_is_put_away_is_gone(connection: Redis) -> None:
    ended, away, kept = (accepted(connection) for _ in range(3))
    for job_id in (ended, away, kept, "never was"):
        take_on(connection, "mine", job_id, None)
    cancel(connection, ended)
    put_away(connection, "mine", away)
    put_away(connection, "mine")
    assert list(open_tasks(connection, "mine")) == [kept]
    assert connection.hkeys("darkroom:desk:mine") == [kept.encode()]


def test_a_name_leads_to_the_last_job_that_got_it_and_only_on_its_own_desk(
    connection: Redis,
) -> None:
    for job_id in ("first", "second"):
        take_on(connection, "mine", job_id, "task")
    put_away(connection, "mine", "second")
    assert job_of_task(connection, "mine", "task") == "second"
    assert job_of_task(connection, "other", "task") is None
    assert 0 < connection.ttl("darkroom:desk-task:mine:task") <= TASK_TTL_S


def test_a_choice_of_a_model_holds_until_it_is_taken_back(connection: Redis) -> None:
    assert chosen_model(connection, "mine") is None
    choose_model(connection, "mine", "tiny")
    assert (chosen_model(connection, "mine"), chosen_model(connection, "other")) == ("tiny", None)
    assert 0 < connection.ttl("darkroom:desk-model:mine") <= MODEL_TTL_S
    choose_model(connection, "mine", None)
    assert chosen_model(connection, "mine") is None
