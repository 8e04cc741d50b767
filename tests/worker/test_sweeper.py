from collections.abc import Callable
from threading import Event

import pytest
from redis import Redis
from rq import Queue

import worker.heartbeat
import worker.sweeper
from contract.job import JobState
from contract.leases import GUARD_MS, LEASE_TTL_MS
from tests.waiting import LIMIT_S, job_in, until
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker

RECOVERY_S = 15.0
"""Promised: from a worker's death until its jobs are back in the queue."""


def test_the_intervals_keep_the_promise_of_recovery() -> None:
    lease_s, guard_s = LEASE_TTL_MS / 1000, GUARD_MS / 1000
    assert lease_s + guard_s + worker.sweeper.INTERVAL_S < RECOVERY_S
    assert lease_s / 3 > worker.heartbeat.INTERVAL_S


def test_a_sweep_that_takes_long_does_not_hold_up_the_heartbeat(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    jobs: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweeps, swept = Event(), Event()

    def slow(*args: object) -> list[str]:
        sweeps.set()
        swept.wait(LIMIT_S)
        return []

    monkeypatch.setattr(worker.sweeper, "sweep", slow)
    job_id = ask(steps=150, images=4)
    with running(make_worker()) as busy:
        assert sweeps.wait(LIMIT_S)
        job_in(connection, job_id, JobState.RUNNING)
        [execution] = until(lambda: list(busy.executions.values()))
        leases = f"darkroom:leases:{jobs.name}"
        connection.zadd(leases, {execution.composite_key: 1}, xx=True)
        until(lambda: (connection.zscore(leases, execution.composite_key) or 0) > 1)
        swept.set()
        job_in(connection, job_id)


def test_nobody_sweeps_while_the_heartbeat_is_irregular(
    make_worker: Callable[[], BatchWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an outage of Redis, when the leases of the living have run out as well."""
    sweeps: list[Queue] = []
    monkeypatch.setattr(worker.sweeper, "sweep", lambda queue, _: sweeps.append(queue) or [])
    monkeypatch.setattr(worker.sweeper, "INTERVAL_S", 0.01)
    idle = make_worker()
    with running(idle):
        until(lambda: sweeps)
        monkeypatch.setattr(worker.heartbeat, "REGULAR_S", 0.0)
        until(lambda: not idle._heartbeat.is_regular)
        thread, seen = idle._sweeper._thread, len(sweeps)
        thread.join(0.5)
        assert len(sweeps) <= seen + 1  # one may have been under way
