"""A call to the device that never returns ends the worker, and the job goes on elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from redis import Redis

from contract.job import JobState
from tests.waiting import job_in
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker
from worker.settings import WorkerSettings
from worker.watchdog import EXIT_CODE

HANGING = """
from threading import Event
import worker.main
from worker.engine.model import Model
from worker.intake import Intake

def hang(*arguments):
    Event().wait()

{hanging} = hang
worker.main.run_worker(worker.main.WorkerSettings())
"""


@pytest.mark.parametrize("hanging", ["Model.predict", "Intake.join_ready"])
def test_a_step_that_hangs_ends_the_worker_and_the_job_goes_on_elsewhere(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    redis_url: str,
    settings: WorkerSettings,
    hanging: str,
) -> None:
    job_id = ask()
    environment = os.environ | {
        "REDIS_URL": redis_url,
        "DARKROOM_CHECKPOINT": str(settings.checkpoint),
        "DARKROOM_MAX_ROWS": "8",
        "DARKROOM_METRICS_PORT": "0",
        "DARKROOM_STEP_TIMEOUT_S": "0.5",
    }
    hung = subprocess.run(
        [sys.executable, "-c", HANGING.format(hanging=hanging)], env=environment, timeout=60
    )
    assert hung.returncode == EXIT_CODE
    with running(make_worker()):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
