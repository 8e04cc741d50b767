import math
from itertools import pairwise, product

import pytest

from contract.backlog import Standing
from contract.forecast import JOIN_STEPS, Fleet, Work
from contract.sizes import Size
from contract.workers import Pace, WorkerCard
from tests.contract.samples import job_request, worker_card

PACE = Pace(step_s=0.02, row_s=0.005, aside_s=0.1, done_per_s=1e6)
"""Of a worker to which so much comes that its batch does not get narrower."""
PICTURE = Work(2.0, 30, "64x64")
ALONE = Standing(1, PICTURE.row_steps)
FULL = PACE.model_copy(update={"rows": 16.0, "row_steps": 240.0, "sizes": ("64x64",)})


def fleet(*paces: Pace | None) -> Fleet:
    found = Fleet.of([card(pace, str(n)) for n, pace in enumerate(paces)])
    assert found is not None
    return found


def card(pace: Pace | None, name: str = "gpu-1") -> WorkerCard:
    return worker_card(name, pace=pace)


def behind(jobs: int, held: int = 0, rows: float | None = None) -> Standing:
    """Of a picture with so many equal ones before it in the queue."""
    return Standing(jobs + 1, (jobs + 1) * PICTURE.row_steps, held, rows)


def test_an_idle_worker_takes_as_long_as_it_takes_alone() -> None:
    seconds = fleet(PACE).seconds(PICTURE, ALONE)
    assert seconds == pytest.approx(30 * (0.02 + 2 * 0.005) + 0.1)


def test_a_job_that_finds_room_goes_by_the_width_that_it_comes_into() -> None:
    held = 6.0
    pace = PACE.model_copy(update={"rows": held, "row_steps": held * 15, "sizes": ("64x64",)})
    seconds = fleet(pace).seconds(PICTURE, behind(0, held=3, rows=held))
    joining = JOIN_STEPS * (0.02 + held * 0.005)
    assert seconds == pytest.approx(joining + 30 * (0.02 + 8 * 0.005) + 0.1)


def test_what_is_beside_a_job_goes_where_less_comes() -> None:
    standing = behind(0, held=8, rows=12.0)
    times = [
        fleet(
            PACE.model_copy(update={"done_per_s": came, "rows": 12.0, "row_steps": 180.0})
        ).seconds(PICTURE, standing)
        for came in (0.0, 50.0, 100.0, 200.0)
    ]
    assert times == sorted(times)
    assert times[0] > 30 * 0.03 + 0.1
    assert times[0] < 0.9 * times[-1]


def test_what_redis_knows_of_the_workers_counts_more_than_what_they_told() -> None:
    stale = fleet(PACE)
    assert stale.seconds(PICTURE, behind(0, held=4, rows=8.0)) > stale.seconds(PICTURE, ALONE)
    full = fleet(FULL)
    assert full.seconds(PICTURE, ALONE) == pytest.approx(30 * 0.03 + 0.1)


def test_who_finds_no_room_waits_for_what_is_ahead() -> None:
    behind_ten = fleet(FULL).seconds(PICTURE, behind(10, held=8, rows=16.0))
    behind_none = fleet(FULL).seconds(PICTURE, behind(0, held=8, rows=16.0))
    full_step_s = 0.02 + 16 * 0.005
    assert behind_ten - behind_none == pytest.approx(600 / 16 * full_step_s)


@pytest.mark.parametrize("pace", [PACE, FULL], ids=["idle", "full"])
@pytest.mark.parametrize("rows", [2.0, 8.0, 20.0])
def test_more_work_ahead_never_makes_it_shorter(pace: Pace, rows: float) -> None:
    workers, work = fleet(pace), Work(rows, 30, "64x64")
    for held in (0, 3, 8):
        times = [workers.seconds(work, behind(n, held, 2.0 * held)) for n in range(40)]
        assert all(late >= early for early, late in pairwise(times))


def test_two_workers_halve_the_wait() -> None:
    one, two = fleet(FULL), fleet(FULL, FULL)
    waits = [
        workers.seconds(PICTURE, behind(n, held=8 * count, rows=16.0 * count))
        for count, workers in ((1, one), (2, two))
        for n in (20, 40)
    ]
    assert waits[1] - waits[0] == pytest.approx(2 * (waits[3] - waits[2]))


def test_a_worker_that_is_idle_is_the_one_that_takes_the_job() -> None:
    seconds = fleet(FULL, PACE).seconds(PICTURE, behind(0, held=1, rows=2.0))
    assert seconds == pytest.approx(30 * 0.03 + 0.1, rel=0.1)


def test_workers_that_told_no_pace_count_as_the_others() -> None:
    standing = behind(20, held=16, rows=32.0)
    told = fleet(FULL, FULL).seconds(PICTURE, standing)
    assert fleet(FULL, None).seconds(PICTURE, standing) == told
    assert Fleet.of([card(None)]) is None
    assert Fleet.of([]) is None


def test_urgent_jobs_wait_only_for_urgent_ones() -> None:
    urgent = PICTURE._replace(is_urgent=True)
    full = fleet(FULL)
    standing = behind(0, held=8, rows=16.0)
    assert full.seconds(urgent, standing) < full.seconds(PICTURE, standing)


def test_another_size_takes_turns_with_those_that_are_there() -> None:
    standing = behind(0, held=8, rows=6.0)
    there = fleet(FULL.model_copy(update={"rows": 6.0}))
    other = PICTURE._replace(size="32x32")
    extra = there.seconds(other, standing) - there.seconds(PICTURE, standing)
    assert extra == pytest.approx((30 + JOIN_STEPS) * 0.02)


def test_work_is_counted_in_rows_of_the_models_own_size() -> None:
    request = job_request(width=128, height=64, images=3, steps=20)
    assert Work.of(request, Size(64, 64)) == Work(12.0, 20, "128x64")
    assert Work.of(job_request(guidance=0.0), Size(64, 64)).rows == 1.0
    assert Work.of(job_request(steps=20, sampler="heun"), Size(64, 64)).evaluations == 39


def test_more_pictures_than_a_batch_holds_take_turns() -> None:
    wide, twice = Work(16.0, 30), Work(32.0, 30)
    one = fleet(PACE).seconds(wide, Standing(1, wide.row_steps)) - 0.1
    two = fleet(PACE).seconds(twice, Standing(1, twice.row_steps)) - 0.1
    assert two == pytest.approx(2 * one)


def test_it_is_a_number_of_seconds_whatever_is_told() -> None:
    odd = [0.0, 1e-12, 3.0, 1e9]
    for step_s, row_s, rows, row_steps in product(odd, repeat=4):
        pace = Pace(step_s=step_s, row_s=row_s, aside_s=0.0, rows=rows, row_steps=row_steps)
        for held, work in product((0, 5), (None, 0.0, 60.0, 1e9)):
            seconds = fleet(pace).seconds(PICTURE, Standing(1, work, held, 2.0 * held or None))
            assert math.isfinite(seconds)
            assert seconds >= 0.0
