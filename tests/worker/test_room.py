from worker.engine.budget import RowBudget
from worker.engine.picture import Beside
from worker.room import MOST_SHAPES, Room

NATIVE = (8, 8)
LARGE = (16, 16)


def room(rows: int = 8) -> Room:
    return Room(RowBudget(rows, NATIVE))


def test_jobs_come_until_the_batch_of_their_size_is_full() -> None:
    place = room(rows=8)
    jobs = 0
    while place.fits(NATIVE, 2):
        place.fill(NATIVE, 2)
        jobs += 1
    assert jobs == 4


def test_a_full_batch_of_one_size_leaves_room_for_another() -> None:
    place = room(rows=8)
    place.fill(LARGE, 2)
    assert not place.fits(LARGE, 1)
    assert place.fits(NATIVE, 2)


def test_a_job_of_more_pictures_than_fit_comes_once_one_of_them_does() -> None:
    place = room(rows=8)
    place.fill(NATIVE, 6)
    assert place.fits(NATIVE, 2)
    place.fill(NATIVE, 20)
    assert not place.fits(NATIVE, 1)


def test_only_so_many_sizes_take_turns() -> None:
    place = room()
    for extra in range(MOST_SHAPES):
        assert place.fits((8, 8 + extra), 2)
        place.fill((8, 8 + extra), 1)
    assert not place.fits((16, 8), 1)
    assert place.fits((8, 8), 1)


def test_others_make_way_for_urgent_jobs_but_urgent_ones_do_not() -> None:
    place = room(rows=8)
    place.fill(NATIVE, 8)
    assert not place.fits(NATIVE, 2)
    assert place.fits(NATIVE, 2, is_urgent=True)
    place.fill(NATIVE, 8, is_urgent=True)
    assert not place.fits(NATIVE, 2, is_urgent=True)


def test_an_urgent_job_comes_whatever_sizes_take_turns() -> None:
    place = room()
    for extra in range(MOST_SHAPES):
        place.fill((8, 8 + extra), 2)
    assert place.fits((16, 8), 1, is_urgent=True)


def test_who_is_gone_before_there_is_room_finds_it_beside_the_budget() -> None:
    place = Room(RowBudget(8, NATIVE), {NATIVE: Beside(rows=0, free_in=10)})
    place.fill(NATIVE, 8)
    assert not place.fits(NATIVE, 2, evaluations=11)
    assert place.fits(NATIVE, 2, evaluations=10)
    place.fill(NATIVE, 4)
    assert not place.fits(NATIVE, 2, evaluations=1)


def test_what_rides_beside_the_budget_takes_nothing_of_it() -> None:
    place = Room(RowBudget(8, NATIVE), {NATIVE: Beside(rows=4, free_in=10)})
    place.fill(NATIVE, 10)
    assert place.fits(NATIVE, 2)
    place.fill(NATIVE, 2)
    assert not place.fits(NATIVE, 2)
