"""The engine's benchmark: what its rounds come to, and that its tools work on a tiny model."""

from pathlib import Path

import pytest
import torch

from benchmarks import dtype_noise, row_budgets
from benchmarks.cpu_modes import Bench, Mode
from benchmarks.engine import ROWS, Round, over_first, summary
from tests.checkpoints import build_checkpoint
from worker.engine.call_options import CallOptions
from worker.engine.model import load_model
from worker.engine.row_plan import RowPlan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def a_round(one_by_one: float, engine: float, slow_down: float = 1.0) -> Round:
    unet = {rows: (0.008 if rows < 16 else 0.004) for rows in ROWS}
    ratio = dict.fromkeys((2, 4, 8, 16), slow_down)
    return Round(one_by_one, 0.004, engine, unet, ratio)


def test_the_bars_are_kept_or_missed() -> None:
    good = summary([a_round(0.008, 0.004)])
    assert (good["gain"], good["share_of_ceiling"]) == (2.0, 1.0)
    assert (good["step_bar"], good["batching_bar"]) == ("PASS", "PASS")
    bad = summary([a_round(0.008, 0.0045, slow_down=1.04)])
    assert (bad["step_bar"], bad["batching_bar"]) == ("MISS", "MISS")


def test_a_second_dtype_is_compared_with_the_first_one_round_by_round() -> None:
    exact = [a_round(0.010, 0.005), a_round(0.020, 0.010)]
    rough = [a_round(0.006, 0.005), a_round(0.012, 0.010)]
    found = over_first(exact, rough)
    assert found == {"gain": 2.0, "dtype_bar": "PASS", "dtype_goal_is_met": False}
    assert over_first(rough, rough)["dtype_bar"] == "MISS"


def test_pictures_in_bfloat16_are_compared_with_those_in_float32(folder: Path) -> None:
    exact, rough = (load_model(folder, CPU, kind) for kind in (torch.float32, torch.bfloat16))
    found = dtype_noise.compare(exact, rough, "euler", steps=2)
    assert found.keys() == {"engine", "diffusers"}
    assert 15 < found["engine"].worst <= found["engine"].median < 100
    same = dtype_noise.compare(exact, exact, "euler", steps=2)["engine"]
    assert (same.worst, same.median) == (100.0, 100.0)


def test_a_burst_ends_its_short_pictures_first(folder: Path) -> None:
    model = load_model(folder, CPU, torch.float32)
    found = row_budgets.burst(model, rows=4, pictures=5)
    assert found["pictures_per_s"] > 0
    assert found["short_mean_s"] < found["mean_s"]


@pytest.mark.parametrize(
    "mode",
    [
        Mode(torch.float32, CallOptions(fused=True)),
        Mode(torch.bfloat16, CallOptions(channels_last=True)),
        Mode(torch.float32, CallOptions(plan=RowPlan((2, 8)))),
    ],
    ids=["fused", "channels_last", "a plan of row counts"],
)
def test_a_mode_is_timed_in_all_its_calls(mode: Mode, folder: Path) -> None:
    found = Bench(mode, folder).seconds(0)
    assert {"U-Net, 2 rows", "decoder, 8 pictures", "engine step, 16 rows"} <= found.keys()
    assert min(found.values()) > 0
