"""The limit of a U-Net call: what is counted, and what follows from a machine's speeds."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cpu_modes import inputs
from benchmarks.roofline import Machine, Operation, alone, limit, operations
from tests.checkpoints import build_checkpoint
from worker.engine.model import Model, load_model

MACHINE = Machine(flops_per_s=100.0, bytes_per_s={"L2": 50.0, "L3": 20.0, "RAM": 10.0})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")
    return load_model(folder, torch.device("cpu"), torch.float32)


def of_a_call(model: Model, rows: int) -> list[Operation]:
    arguments = inputs(model, rows)
    return operations(lambda: model.predict(*arguments))


def test_a_convolution_counts_its_products_and_all_that_it_reads_and_writes() -> None:
    convolution = nn.Conv2d(4, 8, 3, padding=1)
    rows = torch.zeros(2, 4, 16, 16)
    (found,) = operations(lambda: convolution(rows))
    assert found.kind == "convolution"
    assert found.flops == 2 * 2 * 8 * 16 * 16 * 4 * 9
    weights, read, written = 8 * 4 * 9 + 8, 2 * 4 * 16 * 16, 2 * 8 * 16 * 16
    assert found.bytes == 4 * (weights + read + written)


def test_what_moves_nothing_is_not_counted() -> None:
    rows = torch.zeros(2, 4, 16, 16)
    assert operations(lambda: rows.permute(0, 2, 3, 1).unsqueeze(0)) == []
    assert [found.name for found in operations(lambda: rows.transpose(1, 2).contiguous())]


def test_a_unet_has_the_flops_that_torch_counts_with_attention(tiny: Model) -> None:
    found = of_a_call(tiny, rows=2)
    attention = sum(each.flops for each in found if each.kind == "attention")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tiny.predict(*inputs(tiny, 2))
    assert attention > 0  # which torch leaves out on a CPU
    assert sum(each.flops for each in found) == counter.get_total_flops() + attention


def test_twice_the_rows_are_twice_the_flops_and_less_than_twice_the_bytes(tiny: Model) -> None:
    two, four = (limit(of_a_call(tiny, rows), MACHINE) for rows in (2, 4))
    assert four["flops"] == pytest.approx(2 * two["flops"], rel=0.01)
    assert two["bytes"] < four["bytes"] < 2 * two["bytes"]


@pytest.mark.parametrize(
    ("flops", "size", "seconds"),
    [
        (1000, 100, 10.0),
        (100, 100, 2.0),
        (0, 20 << 20, (20 << 20) / 20),
        (0, 1 << 26, (1 << 26) / 10),
    ],
    ids=["by its products", "by memory", "from the level-3 cache", "from memory itself"],
)
def test_an_operation_takes_what_takes_longer(flops: int, size: int, seconds: float) -> None:
    assert MACHINE.least_seconds(Operation("mm", flops, size)) == pytest.approx(seconds)


def test_a_call_takes_the_sum_of_its_operations() -> None:
    found = [Operation("mm", 1000, 100), Operation("silu", 0, 100)]
    assert limit(found, MACHINE)["limit_s"] == pytest.approx(12.0)
    assert limit(found, MACHINE)["compute_s"] == pytest.approx(10.0)


def test_an_operation_by_itself_is_called_once_more_with_what_it_had() -> None:
    weights, rows = torch.ones(8, 8), torch.ones(2, 8)
    found = operations(lambda: (torch.mm(rows, weights), torch.mm(rows, weights)))
    by_itself = alone(found, MACHINE)
    assert by_itself["best_flops_per_s"].keys() == {"product"}
    assert by_itself["alone_s"] == pytest.approx(by_itself["alone_by_kind_s"]["product"])
