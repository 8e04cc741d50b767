"""What the SDK says of its tries."""

import pytest

from app.compat.openai.retries import Attempt


@pytest.mark.parametrize(
    ("headers", "is_repeated", "gives_up_s"),
    [
        ({}, False, float("inf")),
        ({"x-stainless-retry-count": "0", "x-stainless-read-timeout": "600"}, False, 600.0),
        ({"x-stainless-retry-count": "2", "x-stainless-timeout": "60"}, True, 60.0),
        ({"x-stainless-read-timeout": "soon"}, False, float("inf")),
    ],
)
def test_a_try_and_its_patience_are_read_from_the_headers(
    headers: dict[str, str], is_repeated: bool, gives_up_s: float
) -> None:
    attempt = Attempt.of(headers)
    assert (attempt.is_repeated, attempt.gives_up_s) == (is_repeated, gives_up_s)
    assert not attempt.has_run_out


def test_who_hangs_up_about_when_its_patience_ends_waited_too_long() -> None:
    assert Attempt.of({"x-stainless-read-timeout": "0.5"}).has_run_out
