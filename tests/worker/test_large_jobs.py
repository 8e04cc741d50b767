"""Workers of one model, some of which have no memory for pictures that others draw."""

from collections.abc import Callable

import pytest
from redis import Redis

from contract.job import JobState, read_job
from contract.workers import announce, withdraw
from tests.contract.samples import worker_card
from tests.waiting import job_in, until
from tests.worker.conftest import MODEL, Ask, running
from worker.batch_worker import BatchWorker

SMALL, LARGE = 64, 128
"""Sides, in pixels."""


def test_large_pictures_are_drawn_where_there_is_room_for_them(
    make_worker: Callable[..., BatchWorker], ask: Ask, connection: Redis
) -> None:
    with running(make_worker(max_side=SMALL)), running(make_worker()) as large:
        for _ in range(4):
            record = job_in(connection, ask(steps=2, width=LARGE))
            assert (record.state, record.worker) == (JobState.SUCCEEDED, large.name), record.error


def test_a_small_worker_works_behind_large_jobs_until_nobody_else_would_do_them(
    make_worker: Callable[..., BatchWorker],
    ask: Ask,
    connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("contract.ability.ASK_S", 0.0)
    small = make_worker(max_side=SMALL)
    other = worker_card("large", MODEL, max_side=LARGE)
    announce(connection, other, small._heartbeat._model_card)
    with running(small):
        large = ask(steps=2, width=LARGE)
        until(lambda: len(small._passed._passed) == 1)
        assert job_in(connection, ask(steps=2)).worker == small.name
        record = read_job(connection, large)
        assert record is not None
        assert record.state is JobState.QUEUED
        withdraw(connection, other)
        failed = job_in(connection, large)
        assert failed.error is not None
        assert failed.error.code == "unsupported_size"
