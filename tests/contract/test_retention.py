"""What jobs leave behind in Redis expires, all of it."""

import io

import pytest
from PIL import Image
from redis import Redis
from rq import Queue

from contract import (
    checkpoints,
    deletion,
    endings,
    finished,
    idempotency,
    identity,
    previews,
    progress,
    queue,
    reuse,
    turns,
    workers,
)
from contract.checkpoints import JobCheckpoint, write_checkpoints
from contract.claims import requeue
from contract.endings import cancel, commit, fail
from contract.errors import NotFinite
from contract.idempotency import Ticket
from contract.job import read_job
from contract.pictures.redis_store import RedisStore
from contract.previews import JobPreview, write_preview
from contract.progress import JobProgress, write_progress
from contract.request import GenerateRequest
from contract.sweep import sweep
from contract.workers import announce
from tests.contract.records import WORKER, taken
from tests.contract.samples import FINGERPRINT, job_request, job_result, model_card, worker_card
from tests.waiting import until

TTL_S = 1
LATENTS = bytes(4096)
GROWTH = 1.05
"""What may be left: memory at the end, by memory at the start."""

LASTING = {b"darkroom:models", b"rq:queues"}
"""The models that there are and RQ's list of queues: one entry each, whatever the jobs."""

WARM_UP = 50
"""Jobs before the first look: Redis keeps scripts, buffers and the first tables of its own."""


@pytest.fixture(autouse=True)
def _short_ttls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "TTL_S", TTL_S)
    monkeypatch.setattr(progress, "PROGRESS_TTL_S", TTL_S)
    monkeypatch.setattr(previews, "PREVIEWS_TTL_S", TTL_S)
    monkeypatch.setattr(idempotency, "KEPT_S", TTL_S)
    monkeypatch.setattr(turns, "KEPT_S", TTL_S)
    monkeypatch.setattr(endings, "WORKER_TTL_S", TTL_S)
    monkeypatch.setattr(workers, "WORKER_TTL_S", TTL_S)


def png(n: int) -> bytes:
    """No two alike."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (*divmod(n, 256), 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def live(jobs: Queue, store: RedisStore, n: int) -> None:
    """The life of one job: one in ten each is cancelled while it waits or runs, fails, changes its
    worker, is deleted, or answers another; the others succeed at once."""
    connection, job_id = jobs.connection, identity.new_job_id()
    ticket = Ticket.of(str(n), GenerateRequest(prompt="a red circle"))
    queue.enqueue(jobs, job_id, job_request(seed=n), TTL_S, wait_s=60.0, ticket=ticket)
    fate = n % 10
    if fate == 0:
        return cancel(connection, job_id)
    held = taken(jobs)
    execution_id = held.execution.id
    write_progress(connection, {(job_id, execution_id): JobProgress.of(0.5, steps=30)})
    write_preview(connection, job_id, execution_id, JobPreview(0, 0, 15, 8, 8, png(n)))
    write_checkpoints(connection, {(job_id, execution_id): JobCheckpoint(4, {0: LATENTS})})
    if fate == 1:
        return cancel(connection, job_id)
    if fate == 2:
        return fail(held, NotFinite("It became NaN."))
    if fate == 3:
        requeue([held])
        held = taken(jobs)
    commit(held, job_result(store.put(png(n))))
    record = read_job(connection, job_id)
    assert record is not None
    if fate == 4:
        deletion.finish(connection, deletion.begin(connection, record), TTL_S)
    if fate == 5:
        found = finished.find(connection, "", record.request, FINGERPRINT)
        assert found is not None
        assert reuse.answer(jobs, identity.new_job_id(), record.request, found, TTL_S) is not None
    return None


def run(jobs: Queue, count: int) -> None:
    """What a worker does beside its jobs happens once."""
    announce(jobs.connection, worker_card(WORKER), model_card(jobs.name))
    store = RedisStore(jobs.connection, TTL_S)
    for n in range(count):
        live(jobs, store, n)
    assert sweep(jobs) == []


def memory(connection: Redis) -> int:
    return int(connection.info("memory")["used_memory"])


def are_gone(connection: Redis) -> bool:
    """Keys that have expired count until Redis has freed them."""
    return int(connection.dbsize()) <= len(LASTING)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_after_many_jobs_redis_is_as_empty_as_before(
    connection: Redis, jobs: Queue, count: int
) -> None:
    run(jobs, WARM_UP)
    until(lambda: are_gone(connection))
    before = memory(connection)
    run(jobs, count)
    assert memory(connection) > GROWTH * before
    until(lambda: are_gone(connection))
    assert set(connection.keys("*")) == LASTING
    assert memory(connection) <= GROWTH * before
