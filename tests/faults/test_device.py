"""A worker whose device fails at everything takes no job down with it."""

from redis import Redis

from contract.job import JobState
from tests.faults.conftest import Ask, Start, ready
from tests.faults.hooked_worker import BROKEN, SHORT_LEASES
from tests.waiting import LIMIT_S, job_in


def test_its_jobs_end_well_elsewhere(start: Start, ask: Ask, connection: Redis) -> None:
    broken = start("one", **{BROKEN: "1", SHORT_LEASES: "1"})
    ready(connection, "one")
    job_ids = [ask(seed=n, steps=2) for n in range(12)]
    assert broken.wait(LIMIT_S) == 1
    start("two", **{SHORT_LEASES: "1"})
    for job_id in job_ids:
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
