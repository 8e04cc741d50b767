import pytest
from redis import Redis

from contract.workers import live_workers
from tests.waiting import job_in, until
from tests.worker.conftest import Ask
from worker.batch_worker import BatchWorker
from worker.engine.picture import StepReport
from worker.speed import Speed


def test_speed_is_rows_by_all_the_time_of_the_device() -> None:
    speed = Speed()
    assert speed.row_steps_per_s is None
    speed.stepped(StepReport())
    assert speed.row_steps_per_s is None
    speed.stepped(StepReport(rows=8, text_s=0.1, step_s=0.2, decode_s=0.1))
    assert speed.row_steps_per_s == 20.0


def test_the_latest_steps_count_most() -> None:
    speed = Speed()
    for rows in (100, 1):
        for _ in range(300):
            speed.stepped(StepReport(rows=rows, step_s=1.0))
    assert speed.row_steps_per_s == pytest.approx(1.0, abs=0.3)


def test_a_worker_announces_its_speed_once_it_has_one(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    (card,) = until(lambda: live_workers(connection))
    assert card.row_steps_per_s is None
    job_in(connection, ask(steps=2))
    until(lambda: live_workers(connection)[0].row_steps_per_s)
    value = worker._metrics.registry.get_sample_value
    assert value("darkroom_row_steps_per_second") == live_workers(connection)[0].row_steps_per_s


def test_a_decoding_beside_the_steps_takes_no_time_of_theirs() -> None:
    speed = Speed()
    speed.stepped(StepReport(rows=8, most_rows=8, step_s=2.0, decode_s=2.0, decodes_beside=True))
    assert speed.row_steps_per_s == 4.0
