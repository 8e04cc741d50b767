import pytest

from contract.rows import guided_steps


@pytest.mark.parametrize(
    ("start", "stop", "steps", "guided"),
    [
        (0.0, 1.0, 30, range(30)),
        (0.0, 0.6, 30, range(18)),
        (0.2, 0.8, 10, range(2, 8)),
        (0.0, 0.99, 4, range(3)),
        (0.1, 1.0, 9, range(9)),
        (0.29, 1.0, 100, range(28, 100)),  # 0.29 * 100 is less than 29
        (0.0, 1.0, 1, range(1)),
    ],
)
def test_shares_of_the_steps_are_rounded_down(
    start: float, stop: float, steps: int, guided: range
) -> None:
    assert guided_steps(7.5, start, stop, steps) == guided


@pytest.mark.parametrize(("start", "stop", "steps"), [(0.0, 0.6, 1), (0.5, 0.6, 4)])
def test_an_interval_of_less_than_a_step_has_none(start: float, stop: float, steps: int) -> None:
    assert len(guided_steps(7.5, start, stop, steps)) == 0


def test_without_guidance_no_step_is_guided() -> None:
    assert len(guided_steps(1.0, 0.0, 1.0, 30)) == 0
