"""A stock `rq worker` with the same settings runs the same jobs, one by one."""

import os
import subprocess
import sys
import time

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import identity, queue
from contract.job import JobState, read_job
from contract.origin import Origin
from tests.contract.samples import job_request
from tests.newer_jobs import ask_newer
from tests.reference import Wish, develop
from tests.worker.conftest import Ask
from tests.worker.test_batch_worker import assert_same_picture, pixels
from tests.worker.test_deadline import ask as late_job
from worker.engine.engine import Engine
from worker.settings import WorkerSettings


def test_a_stock_worker_runs_the_same_jobs(
    ask: Ask,
    jobs: Queue,
    connection: Redis,
    redis_url: str,
    engine: Engine,
    settings: WorkerSettings,
) -> None:
    drawn, refused = identity.new_job_id(), ask(sampler="lcm", steps=99)
    request = job_request(sampler="euler", steps=8, seed=5, images=2)
    queue.enqueue(jobs, drawn, request, 600, origin=Origin(received=time.time()))
    large = ask(width=1024)
    late = late_job(jobs, wait_s=-1)
    newer = ask_newer(jobs)
    command = ["worker", "--burst", "--url", redis_url, "--worker-class", "rq.SimpleWorker"]
    command += ["--serializer", "rq.serializers.JSONSerializer", jobs.name]
    environment = os.environ | {
        "DARKROOM_CHECKPOINT": str(settings.checkpoint),
        "DARKROOM_THREADS": "1",
        "DARKROOM_MAX_ROWS": "16",
    }
    subprocess.run(
        [sys.executable, "-m", "rq.cli", *command],
        env=environment,
        check=True,
        timeout=120,
    )
    record = read_job(connection, drawn)
    assert record is not None
    assert record.state is JobState.SUCCEEDED
    assert record.result is not None
    assert record.result.device_s > 0
    phases = record.result.timings.model_dump()
    total = phases.pop("total_s")
    assert sum(phases.values()) == total > phases["accept_s"] >= 0
    expected = develop(engine.model, Wish(seed=5), images=2).pixels
    for n in range(2):
        assert_same_picture(pixels(connection, record, n), expected[n])
    failed = read_job(connection, refused)
    assert failed is not None
    assert failed.error is not None
    assert failed.error.code == "sampler_refused"
    unsuited = read_job(connection, large)
    assert unsuited is not None
    assert unsuited.error is not None
    assert unsuited.error.code == "unsupported_size"
    exceeded = read_job(connection, late)
    assert exceeded is not None
    assert exceeded.error is not None
    assert exceeded.error.code == "deadline_exceeded"
    beyond = read_job(connection, newer)
    assert beyond is not None
    assert beyond.error is not None
    assert beyond.error.code == "newer_contract"
    assert connection.xlen(f"rq:results:{refused}") == 1  # an honest failure is not tried again
    assert "sampler_refused" not in Job.fetch(drawn, connection, JSONSerializer).description
