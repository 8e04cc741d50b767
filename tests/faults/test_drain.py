"""A busy worker is told to stop: its job goes back as it is, and another worker goes on with it."""

import signal
from pathlib import Path

from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import queue
from contract.checkpoints import steps_done
from contract.events import EventKind, RequeueReason, read_events
from contract.job import JobState
from contract.transactions import STRIKES_FIELD
from tests.faults.conftest import MODEL, Ask, Start, ready
from tests.faults.fleet import rows_computed
from tests.faults.hooked_worker import HANG_ON_STOP
from tests.waiting import LIMIT_S, job_in, until

IMAGES, STEPS = 4, 150
ROWS = 2  # of a picture, which is guided
SELDOM = {"DARKROOM_CHECKPOINT_S": "600"}  # what a stop does not keep is lost for all to see


def test_a_worker_that_is_told_to_stop_hands_its_job_back_at_the_step_where_it_is(
    start: Start, ask: Ask, connection: Redis
) -> None:
    jobs = queue.model_queue(connection, MODEL)
    stopped, former = start("one", **SELDOM), ready(connection, "one")
    job_id = ask(images=IMAGES, steps=STEPS)  # fills the worker
    job_in(connection, job_id, JobState.RUNNING)
    waiting = ask(steps=1)
    until(lambda: rows_computed(former) > 20 * IMAGES * ROWS)
    computed = rows_computed(former)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(LIMIT_S) == 0

    assert jobs.get_job_ids() == [job_id, waiting]
    assert job_in(connection, job_id, *JobState).state is JobState.QUEUED
    kept = steps_done(connection, job_id)
    assert computed <= kept * ROWS < IMAGES * STEPS * ROWS
    assert connection.hget(Job.key_for(job_id), STRIKES_FIELD) is None
    assert Job.fetch(job_id, connection, JSONSerializer).retries_left == queue.RESCUES
    assert jobs.started_job_registry.get_job_ids(cleanup=False) == []

    start("two")
    successor = ready(connection, "two")
    for each in (job_id, waiting):
        assert job_in(connection, each).state is JobState.SUCCEEDED
        assert connection.xlen(f"rq:results:{each}") == 1
    history = [(each.kind, each.fields.get("reason")) for each in read_events(connection, job_id)]
    assert history == [
        (EventKind.QUEUED, None),
        (EventKind.STARTED, None),
        (EventKind.REQUEUED, RequeueReason.HANDED_BACK),
        (EventKind.STARTED, None),
        (EventKind.SUCCEEDED, None),
    ]
    assert rows_computed(successor) == (IMAGES * STEPS - kept + 1) * ROWS


def test_a_stop_that_hangs_ends_the_process_and_says_where(
    start: Start, connection: Redis, tmp_path: Path
) -> None:
    worker = start("one", tmp_path / "log", **{HANG_ON_STOP: "1"})
    ready(connection, "one")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LIMIT_S) == 1
    assert "in _wait_for_oneself" in (tmp_path / "log").read_text()
