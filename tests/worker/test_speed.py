import pytest
from redis import Redis

from contract.timeline import Timeline
from contract.workers import live_workers
from tests.waiting import job_in, until
from tests.worker.conftest import Ask
from worker.batch_worker import BatchWorker
from worker.engine.picture import StepReport
from worker.speed import Speed, StepLine


def test_speed_is_rows_by_all_the_time_of_the_device() -> None:
    speed = Speed()
    assert speed.row_steps_per_s is None
    speed.stepped(StepReport())
    assert speed.row_steps_per_s is None
    speed.stepped(StepReport(rows=8))  # in which the clock stood still
    assert speed.row_steps_per_s is None
    speed.stepped(StepReport(rows=8, text_s=0.1, step_s=0.2, decode_s=0.1))
    assert speed.row_steps_per_s == 20.0


def test_the_latest_steps_count_most() -> None:
    speed = Speed()
    for rows in (100, 1):
        for _ in range(300):
            speed.stepped(StepReport(rows=rows, step_s=1.0))
    assert speed.row_steps_per_s == pytest.approx(1.0, abs=0.3)


def test_steps_of_different_rows_tell_what_a_row_costs() -> None:
    speed = Speed()
    assert speed.pace is None
    for rows in (2, 4, 8, 16, 8, 6, 2, 12) * 10:
        speed.stepped(StepReport(rows=rows, step_s=0.02 + 0.005 * rows))
    assert speed.pace is not None
    assert speed.pace.step_s == pytest.approx(0.02, rel=0.05)
    assert speed.pace.row_s == pytest.approx(0.005, rel=0.05)


def test_steps_of_one_width_are_true_at_that_width() -> None:
    speed = Speed()
    for _ in range(5):
        speed.stepped(StepReport(rows=8, step_s=0.06))
    assert speed.pace is not None
    assert speed.pace.round_s(8) == pytest.approx(0.06)
    assert speed.pace.row_s > 0
    assert speed.pace.step_s > 0


def test_a_row_never_costs_less_than_nothing() -> None:
    line = StepLine()
    for rows, seconds in ((2, 0.1), (16, 0.05)) * 20:
        line.add(rows, seconds)
    assert (line.per_row_s, line.per_step_s) == (0.0, pytest.approx(0.075, rel=0.05))


def test_rows_of_larger_pictures_count_as_more() -> None:
    speed = Speed()
    speed.stepped(StepReport(rows=2, cost=4.0, step_s=1.0))
    assert speed.row_steps_per_s == 8.0


def test_what_follows_the_last_step_is_an_average() -> None:
    speed = Speed()
    speed.stepped(StepReport(rows=2, step_s=1.0))
    for after_s in (0.25, 0.75):
        speed.ended(Timeline.of((*[1.0] * 6, *[1.0 + after_s] * 4)))
    assert speed.pace is not None
    assert speed.pace.aside_s == pytest.approx(0.5, abs=0.02)


def test_what_was_done_counts_idle_time_as_well() -> None:
    now = [0.0]
    speed = Speed(lambda: now[0])
    for _ in range(100):
        now[0] += 1.0
        speed.stepped(StepReport(rows=8, step_s=0.1))
    assert speed.pace is not None
    assert speed.pace.done_per_s == pytest.approx(8.0, rel=0.02)
    now[0] += 600.0
    assert speed.pace.done_per_s == pytest.approx(0.0, abs=0.01)


def test_a_worker_announces_its_speed_once_it_has_one(
    worker: BatchWorker, ask: Ask, connection: Redis
) -> None:
    (card,) = until(lambda: live_workers(connection))
    assert card.row_steps_per_s is None
    job_in(connection, ask(steps=2))
    until(lambda: live_workers(connection)[0].row_steps_per_s)
    (card,) = live_workers(connection)
    assert card.pace is not None
    assert card.pace.step_s + card.pace.row_s > 0
    value = worker._metrics.registry.get_sample_value
    assert value("darkroom_row_steps_per_second") == live_workers(connection)[0].row_steps_per_s


def test_a_decoding_beside_the_steps_takes_no_time_of_theirs() -> None:
    speed = Speed()
    speed.stepped(StepReport(rows=8, most_rows=8, step_s=2.0, decode_s=2.0, decodes_beside=True))
    assert speed.row_steps_per_s == 4.0
