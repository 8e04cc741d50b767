"""A call to the device that never returns ends the worker, and the job goes on elsewhere."""

from collections.abc import Callable

import pytest
from redis import Redis

from contract.job import JobState
from tests.faults.fleet import environment_of
from tests.faults.hooked_worker import HANGING, HANGS, SHORT_LEASES
from tests.faults.nursery import WorkerProcess
from tests.waiting import LIMIT_S, job_in
from tests.worker.conftest import Ask, running
from worker.batch_worker import BatchWorker
from worker.settings import WorkerSettings
from worker.watchdog import EXIT_CODE


@pytest.mark.parametrize("hanging", HANGS)
def test_a_step_that_hangs_ends_the_worker_and_the_job_goes_on_elsewhere(
    make_worker: Callable[[], BatchWorker],
    ask: Ask,
    connection: Redis,
    redis_url: str,
    settings: WorkerSettings,
    hanging: str,
) -> None:
    job_id = ask()
    environment = environment_of(redis_url, settings.checkpoint) | {
        HANGING: hanging,
        SHORT_LEASES: "1",
        "DARKROOM_STEP_TIMEOUT_S": "0.5",
    }
    hung = WorkerProcess("hung", environment, None)
    assert hung.wait(LIMIT_S) == EXIT_CODE
    with running(make_worker()):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
