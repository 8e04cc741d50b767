"""Redis is started from a backup of a moment at which jobs waited and ran."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from contract.claims import take
from contract.connections import connect
from contract.endings import commit
from contract.identity import new_job_id
from contract.job import JobState, read_job
from contract.keys import KeyLimits, add_key, known_keys, revoke_key
from contract.queue import enqueue, model_queue
from contract.sweep import sweep
from tests.contract.records import WORKER, state
from tests.contract.samples import MODEL, TTL_S, job_request, job_result
from tests.contract.test_leases import run_out
from tests.darkroom.redis_server import redis_server


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Redis]:
    with (
        redis_server("--appendonly", "yes", folder=tmp_path) as url,
        closing(connect(url, timeout_s=5.0)) as connection,
    ):
        yield connection


def test_jobs_after_a_restore(before: Redis, tmp_path: Path) -> None:
    jobs = model_queue(before, MODEL)
    running, waiting, later = (new_job_id() for _ in range(3))
    key = add_key(before, "team-a", KeyLimits()).key
    enqueue(jobs, running, job_request(), TTL_S)
    held = take(jobs, WORKER)
    assert held is not None
    enqueue(jobs, waiting, job_request(), TTL_S)
    before.save()
    (tmp_path / "restored").mkdir()
    shutil.copy(tmp_path / "dump.rdb", tmp_path / "restored")
    commit(held, job_result("a"))
    enqueue(jobs, later, job_request(), TTL_S)
    revoke_key(before, key.id)
    with (
        redis_server(folder=tmp_path / "restored") as url,
        closing(connect(url, timeout_s=5.0)) as after,
    ):
        after.config_set("appendonly", "yes")
        jobs = model_queue(after, MODEL)
        run_out(jobs, held)  # as it has until somebody restores
        assert state(after, running) is JobState.RUNNING
        assert sweep(jobs) == [running]
        assert [each.decode() for each in after.lrange(jobs.key, 0, -1)] == [running, waiting]
        assert read_job(after, later) is None
        assert list(known_keys(after)) == [key.id]  # revoked after the backup, so valid again
