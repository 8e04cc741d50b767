"""What benchmarks refuse before they measure anything: one sentence each."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from given import STARTER, checkpoint, new_file, whole


@pytest.mark.parametrize(
    ("judge", "text", "reason"),
    [
        (checkpoint, "nowhere", "The checkpoint folder nowhere does not exist"),
        (new_file, "nowhere/result.json", "there is no such folder"),
        (new_file, ".", "cannot be written"),
        (whole, "0", "from 1 on"),
        (whole, "two", "from 1 on"),
    ],
)
def test_what_cannot_be_is_refused(judge: Callable[[str], object], text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        judge(text)


def test_what_can_be_is_taken(tmp_path: Path) -> None:
    assert checkpoint(str(STARTER)) == STARTER
    assert new_file(str(tmp_path / "result.json")) == tmp_path / "result.json"
    assert whole("16") == 16
