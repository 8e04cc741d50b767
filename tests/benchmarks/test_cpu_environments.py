"""Processes in turns, each compared with the plain one beside it."""

from pathlib import Path

import torch

from benchmarks.cpu_environments import ENVIRONMENTS, PLAIN, measure, ratios, turns
from tests.checkpoints import build_checkpoint


def test_every_environment_has_a_plain_one_beside_it() -> None:
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):
        order = list(turns(names))
        assert [name for name, _ in order if name != PLAIN] == names
        for place, (name, looks_back) in enumerate(order):
            if name != PLAIN:
                assert order[place - 1 if looks_back else place + 1][0] == PLAIN


def test_an_environment_is_compared_with_the_plain_one_beside_it() -> None:
    seconds = [2.0, 1.0, 2.0, 4.0]
    done = [
        (name, looks_back, {"call": value, "call: page faults": 0.0})
        for (name, looks_back), value in zip(turns(["a", "b"]), seconds, strict=True)
    ]
    assert ratios(done) == {"a": {"call": 0.5}, "b": {"call": 0.5}}


def test_both_dtypes_are_timed_and_their_page_faults_counted(tmp_path: Path) -> None:
    checkpoint = build_checkpoint(tmp_path / "tiny")
    found = measure(checkpoint, torch.get_num_threads(), seconds=0)
    for dtype in ("float32", "bfloat16"):
        assert found[f"{dtype} U-Net, 16 rows"] > 0
        assert found[f"{dtype} U-Net, 16 rows: page faults"] >= 0


def test_float32_that_is_not_float32_is_marked() -> None:
    assert [name for name, each in ENVIRONMENTS.items() if not each.is_exact] == [
        "oneDNN float32 by bfloat16"
    ]
