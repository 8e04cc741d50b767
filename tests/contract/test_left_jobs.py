"""Jobs that wait for their callers to ask again."""

from redis import Redis

from contract.left_jobs import KEPT_S, leave, take, take_back


def test_a_job_that_was_left_is_taken_once(connection: Redis) -> None:
    leave(connection, "", "asked", "job")
    assert [take(connection, "", "asked") for _ in range(2)] == ["job", None]
    assert not take_back(connection, "", "asked", "job")


def test_a_job_that_nobody_took_is_taken_back_and_others_stay(connection: Redis) -> None:
    for job in ("one", "two"):
        leave(connection, "", "asked", job)
    assert take_back(connection, "", "asked", "one")
    assert [take(connection, "", "asked") for _ in range(2)] == ["two", None]


def test_a_job_is_left_to_its_owner_and_to_the_same_request(connection: Redis) -> None:
    leave(connection, "mine", "asked", "job")
    assert take(connection, "other", "asked") is None
    assert take(connection, "mine", "else") is None
    assert take(connection, "mine", "asked") == "job"


def test_a_job_is_not_left_for_ever(connection: Redis) -> None:
    leave(connection, "", "asked", "job")
    (key,) = connection.keys("darkroom:left:*")
    assert 0 < connection.ttl(key) <= KEPT_S
