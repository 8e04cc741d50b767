from typing import Any

import pytest

from contract.origin import UNKNOWN, Origin


def test_what_is_written_is_read() -> None:
    origin = Origin(received=1_764_270_000.25, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert Origin.of({"request": {}} | origin.arguments) == origin


@pytest.mark.parametrize("received", [None, "yesterday", True, float("nan"), float("inf"), [1.0]])
def test_what_cannot_be_read_counts_as_missing(received: Any) -> None:
    assert Origin.of({"received": received}) == UNKNOWN
    assert Origin.of({"traceparent": received}) == UNKNOWN
    assert Origin.of({}) == UNKNOWN
