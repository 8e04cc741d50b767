from redis import Redis
from rq import Queue

from contract import leases
from contract.claims import requeue
from contract.endings import cancel, commit
from contract.transactions import Claim
from tests.contract.conftest import Ask
from tests.contract.records import taken
from tests.contract.samples import job_result


def held_leases(jobs: Queue) -> list[str]:
    found = jobs.connection.zrange(f"darkroom:leases:{jobs.name}", 0, -1)
    return [member.decode() for member in found]


def run_out(jobs: Queue, *claims: Claim) -> None:
    for claim in claims:
        jobs.connection.zadd(f"darkroom:leases:{jobs.name}", {claim.execution.composite_key: 1})


def test_a_claim_holds_a_lease_until_the_job_moves_on(
    connection: Redis, jobs: Queue, ask: Ask
) -> None:
    ids = [ask() for _ in range(3)]
    claims = [taken(jobs) for _ in ids]
    assert sorted(held_leases(jobs)) == sorted(claim.execution.composite_key for claim in claims)
    commit(claims[0], job_result("a"))
    cancel(connection, ids[1])
    requeue([claims[2]])
    assert held_leases(jobs) == []


def test_a_lease_that_is_renewed_does_not_run_out(jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    leases.renew(jobs, [])  # the first beat of all begins with a pause for everybody
    jobs.connection.delete(leases.GUARD_KEY)
    run_out(jobs, held)
    assert leases.renew(jobs, [held.execution]) == []
    assert leases.expired(jobs) == []


def test_a_lease_that_is_gone_is_not_renewed_but_told(jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    requeue([held])
    assert leases.renew(jobs, [held.execution]) == [held.execution.id]
    assert held_leases(jobs) == []


def test_one_worker_sweeps_at_a_time(jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    run_out(jobs, held)
    assert leases.expired(jobs) == [held.execution]
    assert leases.expired(jobs) == []


def test_nobody_sweeps_right_after_an_outage(connection: Redis, jobs: Queue, ask: Ask) -> None:
    ask()
    held = taken(jobs)
    leases.renew(jobs, [held.execution])
    connection.delete(leases.GUARD_KEY)
    connection.set(leases.BEAT_KEY, 1)  # the last beat was long ago
    run_out(jobs, held)
    leases.renew(jobs, [])  # somebody else's beat
    assert leases.expired(jobs) == []
    assert leases.renew(jobs, [held.execution]) == []
    assert 0 < connection.pttl(leases.GUARD_KEY) <= leases.GUARD_MS
