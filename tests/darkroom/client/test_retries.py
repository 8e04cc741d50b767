import pytest

from darkroom import Retries

RETRIES = Retries(attempts=5, first_s=1.0, most_s=4.0, longest_s=60.0)


@pytest.mark.parametrize(("chance", "pauses"), [(0.0, [1, 2, 4, 4]), (1.0, [0.5, 1, 2, 2])])
def test_pauses_double_up_to_a_limit_less_up_to_a_half(chance: float, pauses: list[float]) -> None:
    assert [RETRIES.pause_s(n, chance=lambda: chance) for n in range(1, 5)] == pauses


def test_after_the_last_attempt_there_is_none() -> None:
    assert RETRIES.pause_s(5) is None


def test_what_the_service_asks_for_is_never_cut_short() -> None:
    assert RETRIES.pause_s(1, 30.0, chance=lambda: 1.0) == 30.5


def test_nobody_waits_for_a_service_that_asks_for_too_long() -> None:
    assert RETRIES.pause_s(1, 61.0) is None
