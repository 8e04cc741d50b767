from itertools import combinations_with_replacement

import pytest
import torch
from torch import Tensor

from worker.engine.row_plan import OneByOne, PlannedRows, RowPlan, buckets, fixed_plans

COUNTS = (1, 2, 4, 8, 16, 32)
H100_MS = {1: 9.4, 2: 12.0, 4: 17.2, 8: 28.6, 16: 51.4, 32: 99.3}
"""Stable Diffusion 1.5, recorded: docs/gpu-report.md."""


@pytest.mark.parametrize(
    ("rows", "calls"), [(1, (1,)), (3, (4,)), (18, (32,)), (32, (32,)), (70, (32, 32, 8))]
)
def test_rows_are_padded_to_the_next_count_before_it_is_known_what_a_call_takes(
    rows: int, calls: tuple[int, ...]
) -> None:
    assert RowPlan(COUNTS).calls(rows) == calls


@pytest.mark.parametrize(("rows", "calls"), [(3, (4,)), (18, (16, 2)), (30, (32,)), (34, (32, 2))])
def test_rows_are_split_where_that_is_faster(rows: int, calls: tuple[int, ...]) -> None:
    plan = RowPlan(COUNTS)
    plan.learn(H100_MS)
    assert plan.calls(rows) == calls


def test_no_other_calls_would_take_less_time() -> None:
    seconds = {1: 1.0, 3: 1.7, 8: 3.9}
    plan = RowPlan((1, 3, 8))
    plan.learn(seconds)
    for rows in range(1, 20):
        covers = [
            sum(map(seconds.__getitem__, counts))
            for calls in range(1, rows + 1)
            for counts in combinations_with_replacement(seconds, calls)
            if sum(counts) >= rows
        ]
        assert sum(map(seconds.__getitem__, plan.calls(rows))) == pytest.approx(min(covers))


def test_every_row_gets_its_own_answer_and_padding_none() -> None:
    called: list[Tensor] = []

    def double(latents: Tensor, timesteps: Tensor) -> Tensor:
        called.append(latents)
        return latents * 2 + timesteps[:, None, None, None]

    planned = PlannedRows(double, lambda _: RowPlan((2, 4)))
    for rows in (1, 2, 3, 7):
        latents, timesteps = torch.randn(rows, 1, 2, 3), torch.arange(float(rows))
        answer = planned(latents, timesteps)
        assert torch.equal(answer, double(latents, timesteps))
        called.pop()
    assert [len(latents) for latents in called] == [2, 2, 4, 4, 4]
    assert torch.equal(called[-1][3], called[-1][2])  # padding is a row that somebody asked for


def test_a_size_without_a_plan_is_called_as_it_comes() -> None:
    planned = PlannedRows(lambda rows: rows + len(rows), lambda size: None)
    assert torch.equal(planned(torch.zeros(3, 1, 2, 2)), torch.full((3, 1, 2, 2), 3.0))


def test_one_by_one_is_one_by_one() -> None:
    assert OneByOne(lambda rows: rows * len(rows))(torch.ones(3, 2)).tolist() == [[1.0, 1.0]] * 3


def test_a_fixed_count_is_that_of_the_native_size_and_scaled_for_larger_ones() -> None:
    plan_for = fixed_plans(8, native=(16, 16))
    assert plan_for((16, 16)).counts == (8,)
    assert plan_for((8, 8)).counts == (8,)
    assert plan_for((16, 24)).counts == (5,)
    assert plan_for((32, 32)).counts == (2,)
    assert plan_for((64, 64)).counts == (1,)


def test_buckets_double_up_to_the_most_rows() -> None:
    assert buckets(32) == (1, 2, 4, 8, 16, 32)
    assert buckets(20) == (1, 2, 4, 8, 16, 20)
    assert buckets(2) == (1, 2)
    assert buckets(1) == (1,)
