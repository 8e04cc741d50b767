import pytest
from redis import Redis
from rq import Queue

from contract.checkpoints import (
    JobCheckpoint,
    checkpoint_key,
    read_checkpoint_of,
    steps_done,
    write_checkpoints,
)
from contract.claims import requeue
from contract.endings import cancel, commit, fail
from contract.errors import NotFinite
from contract.transactions import Claim
from tests.contract.conftest import Ask
from tests.contract.samples import job_result
from tests.contract.test_leases import taken

CHECKPOINT = JobCheckpoint(steps=7, pictures={0: b"zero", 2: b"\x00two"})


def write(held: Claim, checkpoint: JobCheckpoint = CHECKPOINT) -> None:
    write_checkpoints(held.queue.connection, {(held.job_id, held.execution.id): checkpoint})


def test_a_checkpoint_comes_back_as_it_was(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    write(taken(jobs))
    assert read_checkpoint_of(connection, job_id) == CHECKPOINT
    assert steps_done(connection, job_id) == 7
    assert connection.ttl(checkpoint_key(job_id)) > 0


def test_a_job_without_a_checkpoint_starts_from_nothing(connection: Redis, ask: Ask) -> None:
    job_id = ask()
    assert read_checkpoint_of(connection, job_id) == JobCheckpoint(0, {})
    assert steps_done(connection, job_id) == 0


def test_a_later_checkpoint_keeps_the_pictures_that_it_does_not_hold(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = taken(jobs)
    write(held)
    write(held, JobCheckpoint(9, {2: b"later"}))
    found = read_checkpoint_of(connection, job_id)
    assert found == JobCheckpoint(9, {0: b"zero", 2: b"later"})


def test_a_checkpoint_survives_a_requeue(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask()
    held = taken(jobs)
    write(held)
    requeue([held])
    assert steps_done(connection, job_id) == 7


@pytest.mark.parametrize("end", ["commit", "fail", "cancel"])
def test_after_the_end_of_a_job_no_checkpoint_is_left_or_written(
    connection: Redis, jobs: Queue, ask: Ask, end: str
) -> None:
    job_id = ask()
    held = taken(jobs)
    write(held)
    if end == "commit":
        commit(held, job_result("a"))
    elif end == "fail":
        fail(held, NotFinite("It became NaN."))
    else:
        cancel(connection, job_id)
    assert not connection.exists(checkpoint_key(job_id))
    write(held)
    assert not connection.exists(checkpoint_key(job_id))


def test_who_lost_a_job_writes_no_checkpoint_of_it(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    former = taken(jobs)
    requeue([former])
    taken(jobs, "gpu-2")
    write(former)
    assert steps_done(connection, job_id) == 0
