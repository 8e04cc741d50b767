from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from contract.checkpoints import JobCheckpoint, write_checkpoints
from contract.claims import claim, requeue
from contract.endings import commit
from contract.errors import WorkerLost
from contract.job import JobState, read_job
from contract.sweep import sweep
from contract.transactions import DEATHS_UNTIL_ALONE, MOST_DEATHS, STRIKES_UNTIL_ALONE, Claim
from tests.contract.conftest import Ask
from tests.contract.records import assert_only_the_second_ends, error_code, state, taken
from tests.contract.samples import job_result
from tests.contract.test_leases import held_leases, run_out


def unlock(jobs: Queue) -> None:
    """A sweep of two seconds ago."""
    jobs.connection.delete(f"darkroom:sweeping:{jobs.name}")


def test_the_jobs_of_a_dead_worker_come_back_first(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    orphans, waiting = [ask() for _ in range(2)], ask()
    claims = [taken(jobs) for _ in orphans]
    run_out(jobs, *claims)
    assert sorted(sweep(jobs)) == sorted(orphans)
    assert sorted(jobs.get_job_ids()[:2]) == sorted(orphans)
    assert jobs.get_job_ids()[2] == waiting
    assert held_leases(jobs) == []
    job = Job.fetch(orphans[0], connection, JSONSerializer)
    assert job.get_executions() == []
    assert jobs.started_job_registry.get_job_ids(cleanup=False) == []
    assert connection.keys("rq:execution:*") == []


def test_a_worker_that_was_taken_for_dead_commits_nothing(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    frozen = taken(jobs)
    run_out(jobs, frozen)
    sweep(jobs)
    second = taken(jobs, "gpu-2")
    assert_only_the_second_ends(connection, job_id, frozen, second)


def test_the_lease_of_a_job_that_moved_on_is_swept_away(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    held = taken(jobs)
    commit(held, job_result("a"))
    run_out(jobs, held)  # left behind
    assert sweep(jobs) == []
    assert held_leases(jobs) == []
    assert state(connection, job_id) is JobState.SUCCEEDED


def test_the_lease_of_a_record_that_is_gone_is_swept_away(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    run_out(jobs, taken(jobs))
    connection.delete(Job.key_for(job_id))
    assert sweep(jobs) == []
    assert held_leases(jobs) == []


def test_a_job_that_was_popped_and_never_claimed_comes_back(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id, waiting = ask(), ask()
    connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
    assert sweep(jobs) == []  # it may just be on its way
    popped_key = f"darkroom:popped:{jobs.name}"
    connection.zadd(popped_key, {job_id: 1})
    unlock(jobs)
    assert sweep(jobs) == [job_id]
    assert jobs.get_job_ids() == [job_id, waiting]
    assert connection.llen(jobs.intermediate_queue_key) == 0
    unlock(jobs)
    sweep(jobs)
    assert connection.zcard(popped_key) == 0


def test_what_is_no_job_leaves_the_intermediate_list(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    connection.set(Job.key_for("text"), "no hash")
    strays = [b"text", b"\xff\xfe"]
    connection.rpush(jobs.intermediate_queue_key, *strays)
    connection.zadd(f"darkroom:popped:{jobs.name}", dict.fromkeys(strays, 1))
    assert sweep(jobs) == []
    assert connection.llen(jobs.intermediate_queue_key) == 0


def test_a_claim_at_the_moment_of_the_sweep_is_one_or_the_other(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
    connection.zadd(f"darkroom:popped:{jobs.name}", {job_id: 1})
    assert claim(jobs, job_id, "gpu-1") is not None
    assert sweep(jobs) == []
    assert jobs.get_job_ids() == []


def lose(jobs: Queue, steps: int) -> None:
    """A worker takes the job, gets as far as `steps`, and dies."""
    held = taken(jobs)
    write_checkpoints(jobs.connection, {(held.job_id, held.execution.id): JobCheckpoint(steps, {})})
    run_out(jobs, held)
    unlock(jobs)
    sweep(jobs)


def test_a_job_that_kills_three_workers_without_progress_fails(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    for _ in range(STRIKES_UNTIL_ALONE):
        lose(jobs, steps=0)
    suspect = taken(jobs)
    assert suspect.strikes == STRIKES_UNTIL_ALONE  # so it runs alone
    run_out(jobs, suspect)
    unlock(jobs)
    given_up: list[tuple[Claim, WorkerLost]] = []
    sweep(jobs, lambda claim, error: given_up.append((claim, error)))
    assert error_code(connection, job_id) == "worker_lost"
    assert [claim.job_id for claim, _ in given_up] == [job_id]


def test_a_job_that_gets_on_outlives_any_number_of_workers(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    for worker in range(1, 10):
        lose(jobs, steps=worker)
    last = taken(jobs)
    assert last.strikes == 0
    commit(last, job_result("a"))
    assert state(connection, job_id) is JobState.SUCCEEDED


def test_progress_takes_the_strikes_away(jobs: Queue, ask: Ask) -> None:
    """Three unlucky moments in a long life are nobody's fault."""
    ask()
    for steps in (1, 1, 2, 2, 3, 3, 4):
        lose(jobs, steps)
    assert taken(jobs).strikes == 0


def test_a_job_that_gets_on_from_death_to_death_runs_alone_and_fails_at_last(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    job_id = ask()
    for steps in range(1, DEATHS_UNTIL_ALONE + 1):
        assert read_job(connection, job_id) is not None
        lose(jobs, steps)
    suspect = taken(jobs)
    assert (suspect.strikes, suspect.is_suspect) == (0, True)
    requeue([suspect])
    for steps in range(DEATHS_UNTIL_ALONE + 1, MOST_DEATHS + 1):
        lose(jobs, steps)
    assert error_code(connection, job_id) == "worker_lost"


def test_a_record_that_breaks_the_sweep_hides_no_other(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    broken, sound = ask(), ask()
    claims = [taken(jobs), taken(jobs)]
    connection.delete(f"darkroom:checkpoint:{broken}")
    connection.set(f"darkroom:checkpoint:{broken}", "no hash")
    connection.hset(Job.key_for(broken), "strikes", "many")
    run_out(jobs, *claims)
    assert sound in sweep(jobs)


def test_a_stop_in_order_is_no_strike(jobs: Queue, ask: Ask) -> None:
    ask()
    for _ in range(4):
        requeue([taken(jobs)])
    assert taken(jobs).strikes == 0
