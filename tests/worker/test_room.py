from worker.engine.budget import RowBudget
from worker.room import LOOKAHEAD, MOST_SHAPES, Room

NATIVE = (8, 8)
LARGE = (16, 16)


def room(rows: int = 8) -> Room:
    return Room(RowBudget(rows, NATIVE))


def test_jobs_come_until_the_batch_is_full_and_a_few_wait() -> None:
    place = room(rows=8)
    jobs = 0
    while place.is_open:
        place.fill(NATIVE, 2)
        jobs += 1
    assert jobs == 4 + LOOKAHEAD


def test_a_full_batch_of_one_size_leaves_room_for_another() -> None:
    place = room(rows=8)
    place.fill(LARGE, 2)
    place.fill(LARGE, 2)
    assert place.is_open
    place.fill(NATIVE, 8)
    assert place.is_open


def test_a_job_of_more_pictures_than_fit_counts_as_one_that_waits() -> None:
    place = room(rows=8)
    for _ in range(LOOKAHEAD):
        assert place.is_open
        place.fill(NATIVE, 20)
    assert not place.is_open


def test_only_so_many_sizes_take_turns() -> None:
    place = room()
    for side in range(MOST_SHAPES + LOOKAHEAD):
        assert place.is_open
        place.fill((8, 8 + side), 1)
    assert not place.is_open
