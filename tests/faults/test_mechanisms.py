"""Each of the mechanisms is needed: the same faults, with it and without it."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from contract import queue
from contract.checkpoints import steps_done
from contract.events import EventKind, read_events
from contract.job import JobState
from contract.workers import live_workers
from tests.faults.conftest import MODEL, Ask
from tests.faults.fleet import environment_of, rows_computed, start_worker
from tests.faults.hooked_worker import FREEZE_FILE, SHORT_LEASES, WITHOUT
from tests.waiting import job_in, until

STEPS, IMAGES = 150, 4

Pair = dict[str, subprocess.Popen[bytes]]


@pytest.fixture
def pair_with(checkpoint: Path, redis_url: str, connection: Redis) -> Iterator[Callable[..., Pair]]:
    """Starts two workers with hooks, by the names in RQ's records."""
    processes: Pair = {}

    def start(**hooks: str) -> Pair:
        environment = environment_of(redis_url, checkpoint) | {SHORT_LEASES: "1"} | hooks
        processes.update({name: start_worker(name, environment) for name in ("one", "two")})
        until(lambda: len(live_workers(connection)) == len(processes))
        return processes

    yield start
    for process in processes.values():
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in processes.values():
        process.wait(30)


def holder(connection: Redis, job_id: str) -> str:
    record = job_in(connection, job_id, JobState.RUNNING)
    assert record.worker is not None
    return record.worker.partition(".")[0]


def rows_of(connection: Redis, name: str) -> float:
    [card] = [card for card in live_workers(connection) if card.name == name]
    return rows_computed(card.metrics_port)


@pytest.mark.parametrize("without", ["", "sweep"])
def test_a_dead_workers_job_comes_back_by_the_sweep(
    pair_with: Callable[..., Pair], ask: Ask, connection: Redis, without: str
) -> None:
    pair = pair_with(**{WITHOUT: without})
    job_id = ask(steps=STEPS, images=IMAGES)
    dead = holder(connection, job_id)
    pair[dead].kill()
    [other] = pair.keys() - {dead}
    if not without:
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
        return
    leases = f"darkroom:leases:{queue.model_queue(connection, MODEL).name}"
    until(lambda: connection.zcount(leases, "-inf", _now_ms(connection) - 2_000))
    assert job_in(connection, job_id, JobState.RUNNING).worker.startswith(dead)
    assert pair[other].poll() is None


@pytest.mark.parametrize("without", ["", "fence"])
def test_who_froze_before_the_commit_commits_nothing_by_the_fence(
    pair_with: Callable[..., Pair], ask: Ask, connection: Redis, tmp_path: Path, without: str
) -> None:
    freeze_file = tmp_path / "freeze"
    freeze_file.touch()
    pair = pair_with(**{WITHOUT: without, FREEZE_FILE: str(freeze_file)})
    job_id = ask(steps=4)
    note = freeze_file.with_suffix(".pid")
    pid = int(until(lambda: note.exists() and note.read_text()))
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    [frozen] = [each for each in pair.values() if each.pid == pid]
    frozen.send_signal(signal.SIGCONT)
    frozen.terminate()  # it ends once it has published what it has
    assert frozen.wait(30) == 0
    ends = [event for event in read_events(connection, job_id) if event.kind.is_final]
    assert [event.kind for event in ends] == [EventKind.SUCCEEDED] * (2 if without else 1)


@pytest.mark.parametrize("without", ["", "checkpoints"])
def test_no_step_is_done_twice_by_the_checkpoints(
    pair_with: Callable[..., Pair], ask: Ask, connection: Redis, without: str
) -> None:
    pair = pair_with(DARKROOM_CHECKPOINT_S="0" if without else "0.05")
    job_id = ask(steps=STEPS, images=IMAGES, guidance=1.0)
    dead = holder(connection, job_id)
    until(lambda: rows_of(connection, dead) > STEPS)
    pair[dead].kill()
    kept = steps_done(connection, job_id)
    assert (kept == 0) == bool(without)
    assert job_in(connection, job_id).state is JobState.SUCCEEDED
    [other] = pair.keys() - {dead}
    assert rows_of(connection, other) == STEPS * IMAGES - kept


def _now_ms(connection: Redis) -> float:
    seconds, microseconds = connection.time()
    return seconds * 1000 + microseconds / 1000
