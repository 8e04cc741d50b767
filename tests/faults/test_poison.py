"""A job that kills every worker process that develops it, and jobs that have the bad luck to be its
neighbours."""

from pathlib import Path

from redis import Redis

from contract.events import EventKind, read_events
from contract.job import JobState, read_job
from contract.transactions import STRIKES_UNTIL_ALONE
from tests.faults.conftest import Ask
from tests.faults.fleet import Fleet, environment_of
from tests.faults.history import offences
from tests.faults.hooked_worker import POISON, SHORT_LEASES
from tests.waiting import until

SEED = 666


def test_it_fails_after_three_workers_and_its_neighbours_end_well(
    redis_url: str, checkpoint: Path, ask: Ask, connection: Redis, tmp_path: Path
) -> None:
    poison, *neighbours = ask(seed=SEED), *(ask(seed=n, steps=40) for n in range(4))
    environment = environment_of(redis_url, checkpoint) | {POISON: str(SEED), SHORT_LEASES: "1"}
    fleet = Fleet(1, environment, connection, tmp_path)

    def have_ended() -> bool:
        fleet.tend()
        records = [read_job(connection, job_id) for job_id in (poison, *neighbours)]
        return all(record is not None and record.state.is_final for record in records)

    until(have_ended, 120.0)
    fleet.stop()
    record = read_job(connection, poison)
    assert record is not None
    assert record.error is not None
    assert record.error.code == "worker_lost"
    starts = [event.kind for event in read_events(connection, poison)].count(EventKind.STARTED)
    assert starts == len(fleet.crashes) == STRIKES_UNTIL_ALONE + 1
    for job_id in neighbours:
        found = read_job(connection, job_id)
        assert found is not None
        assert found.state is JobState.SUCCEEDED
        assert offences(read_events(connection, job_id)) == []
