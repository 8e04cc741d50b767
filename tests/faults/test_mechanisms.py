"""Each of the mechanisms is needed: the same faults, with them and without."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from contract import queue
from contract.checkpoints import steps_done
from contract.events import EventKind, read_events
from contract.job import JobState
from tests.faults.conftest import MODEL, Ask, Start, Workers, holder, ready
from tests.faults.fleet import jobs_ended, rows_computed
from tests.faults.hooked_worker import FREEZE_FILE, SHORT_LEASES, WITHOUT
from tests.waiting import job_in, until

STEPS, IMAGES = 150, 2
OFTEN, NEVER = "0.05", "0"  # DARKROOM_CHECKPOINT_S
LONG_MS = 2_000  # after a lease has run out; a sweep finds it in a quarter of that

Pair = Callable[..., Workers]
"""Starts two workers of short leases; takes what their environment has beside."""


@pytest.fixture
def pair_with(start: Start, connection: Redis) -> Pair:
    def begin(**environment: str) -> Workers:
        processes = {n: start(n, **{SHORT_LEASES: "1"}, **environment) for n in ("one", "two")}
        for name in processes:
            ready(connection, name)
        return processes

    return begin


@pytest.fixture
def freeze_file(tmp_path: Path) -> Path:
    return tmp_path / "freeze"


def results_after_a_freeze_before_the_commit(
    workers: Workers, ask: Ask, connection: Redis, freeze_file: Path
) -> int:
    """How often a job ends well whose worker freezes, is taken for dead, and wakes up. The worker
    is gone afterwards."""
    freeze_file.touch()
    job_id = ask(steps=4)
    note = freeze_file.with_suffix(".pid")
    pid = int(until(lambda: note.exists() and note.read_text()))
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    [name] = [name for name, each in workers.items() if each.pid == pid]
    frozen = workers.pop(name)
    frozen.send_signal(signal.SIGCONT)
    card = ready(connection, name)
    until(lambda: jobs_ended(card))
    frozen.kill()
    frozen.wait(30)
    ends = [event.kind for event in read_events(connection, job_id) if event.kind.is_final]
    assert set(ends) == {EventKind.SUCCEEDED}
    return len(ends)


def kill_at_work(workers: Workers, ask: Ask, connection: Redis) -> tuple[str, str, str]:
    """Kills one of two workers in the midst of a job: the job, the dead worker and the other."""
    job_id = ask(steps=STEPS, images=IMAGES, guidance=1.0)
    dead = holder(connection, job_id)
    [other] = workers.keys() - {dead}
    card = ready(connection, dead)
    until(lambda: rows_computed(card) > STEPS / 2)
    workers[dead].kill()
    return job_id, dead, other


def test_with_all_of_them_a_job_ends_once_and_no_step_is_done_twice(
    pair_with: Pair, start: Start, ask: Ask, connection: Redis, freeze_file: Path
) -> None:
    workers = pair_with(**{"DARKROOM_CHECKPOINT_S": OFTEN, FREEZE_FILE: str(freeze_file)})
    assert results_after_a_freeze_before_the_commit(workers, ask, connection, freeze_file) == 1
    workers["three"] = start("three", **{"DARKROOM_CHECKPOINT_S": OFTEN, SHORT_LEASES: "1"})
    ready(connection, "three")
    before = {name: rows_computed(ready(connection, name)) for name in workers}
    job_id, _, other = kill_at_work(workers, ask, connection)
    kept = steps_done(connection, job_id)
    assert kept > 0
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    rows = rows_computed(ready(connection, other)) - before[other]
    assert rows == STEPS * IMAGES - kept


def test_without_the_fence_a_job_ends_twice(
    pair_with: Pair, ask: Ask, connection: Redis, freeze_file: Path
) -> None:
    workers = pair_with(**{WITHOUT: "fence", FREEZE_FILE: str(freeze_file)})
    assert results_after_a_freeze_before_the_commit(workers, ask, connection, freeze_file) == 2


def test_without_checkpoints_every_step_is_done_twice(
    pair_with: Pair, ask: Ask, connection: Redis
) -> None:
    workers = pair_with(DARKROOM_CHECKPOINT_S=NEVER)
    job_id, _, other = kill_at_work(workers, ask, connection)
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    assert rows_computed(ready(connection, other)) == STEPS * IMAGES


def test_without_the_sweep_a_job_stays_with_its_dead_worker(
    pair_with: Pair, ask: Ask, connection: Redis
) -> None:
    workers = pair_with(**{WITHOUT: "sweep"})
    job_id, dead, other = kill_at_work(workers, ask, connection)
    leases = f"darkroom:leases:{queue.model_queue(connection, MODEL).name}"
    until(lambda: connection.zcount(leases, "-inf", _now_ms(connection) - LONG_MS))
    assert holder(connection, job_id) == dead
    assert workers[other].poll() is None


def _now_ms(connection: Redis) -> float:
    seconds, microseconds = connection.time()
    return seconds * 1000 + microseconds / 1000
