"""When a webhook is sent again."""

from datetime import UTC, datetime

import pytest

from courier.schedule import INTERVALS_S, asked_pause_s, pause_s

NOW = datetime(2026, 11, 24, 8, 45, 46, tzinfo=UTC)


def test_pauses_grow_to_hours_and_end_after_eight_attempts() -> None:
    pauses = [pause_s(n, None, 0.0) for n in range(1, len(INTERVALS_S) + 2)]
    assert pauses == [5, 300, 1800, 7200, 18_000, 36_000, 36_000, None]


def test_chance_makes_a_pause_up_to_a_fifth_longer() -> None:
    assert [pause_s(2, None, chance) for chance in (0.0, 0.5, 1.0)] == [300, 330, 360]


@pytest.mark.parametrize(("asked_s", "pause"), [(120.0, 120), (1.0, 5), (9e9, 24 * 3600)])
def test_a_receiver_may_ask_for_a_longer_pause_but_for_no_shorter_one(
    asked_s: float, pause: int
) -> None:
    assert pause_s(1, asked_s, 0.0) == pause


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 24 Nov 2026 08:46:46 GMT", 60.0),
        ("Tue, 24 Nov 2026 08:46:46 -0000", 60.0),
        ("Tue, 24 Nov 2026 08:00:00 GMT", 0.0),
        ("9" * 5000, 999_999_999.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert asked_pause_s(header, NOW) == seconds
