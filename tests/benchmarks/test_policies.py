"""Serving policies side by side: their clock, their arrivals, their batches."""

import json
import math
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints import build_checkpoint
from worker.engine.model import Model, load_model

ROOT = Path(__file__).parents[2]
MODULES = (
    "virtual_clock", "traffic", "step_times", "serving", "pipelines", "outcome", "policy_tables",
    "policy_devices", "policies", "engine",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tiny(checkpoint: Path) -> Model:
    return load_model(checkpoint, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """benchmarks/policies.py, beside which its modules stand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield import_module("policies")
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def device(bench: Any, tiny: Model) -> Any:
    """One whose U-Net takes 10 ms a call and 1 ms a row, up to 8 rows."""
    unet_s = {rows: 0.010 + 0.001 * rows for rows in range(1, 9)}
    times = bench.StepTimes(64, unet_s, {1: 0.005, 8: 0.040})
    return bench.SimulatedDevice(tiny, times, 8)


def requests(bench: Any, device: Any, traffic: str, count: int, per_s: float) -> list[Any]:
    drawn = bench.TRAFFICS[traffic].requests(count, 0, device.native)
    return list(bench.at_rate(drawn, per_s))


def run(bench: Any, device: Any, policy: str, wanted: list[Any]) -> Any:
    """The server when all is done, and what it served."""
    server = device.server(policy)
    return server, [each for part in bench.replay(server, wanted) for each in part]


def test_waiting_takes_no_time_and_work_takes_its_own(bench: Any, device: Any) -> None:
    clock = import_module("virtual_clock").VirtualClock()
    clock.skip_to(100.0)
    clock.skip_to(50.0)
    assert clock.now == 100.0
    with clock.measured():
        sum(range(100_000))
    assert 100.0 < clock.now < 101.0


def test_a_request_alone_takes_what_its_calls_take_whoever_serves_it(
    bench: Any, device: Any
) -> None:
    [request] = requests(bench, device, "equal", 1, 0.001)
    rows_s = 1.02 * 0.012
    alone = 0.004 + 20 * rows_s + 0.005
    assert device.alone_s(request) == pytest.approx(alone)
    for policy, more in ((bench.ONE, 0.0), (bench.REQUEST, 0.05), (bench.STEP, 2 * 0.001 - 0.004)):
        _, [served] = run(bench, device, policy, [request])
        assert served.latency_s == pytest.approx(alone + more)


def test_all_policies_have_the_same_arrivals_and_serve_each_once(bench: Any, device: Any) -> None:
    wanted = requests(bench, device, "mixed", 40, 4.0)
    assert wanted[:20] == requests(bench, device, "mixed", 20, 4.0)
    assert len({each.prompt for each in wanted}) == len(wanted)
    for policy in (bench.ONE, bench.REQUEST, bench.STEP, bench.FIXED):
        _, served = run(bench, device, policy, wanted)
        assert sorted(each.request.number for each in served) == list(range(40))
        assert all(each.request is wanted[each.request.number] for each in served)
        assert all(each.latency_s > 0 for each in served)


@pytest.mark.parametrize("traffic", ["mixed", "popular", "sizes", "equal"])
def test_a_batch_holds_requests_of_one_group_that_fit(
    bench: Any, device: Any, traffic: str
) -> None:
    wanted = requests(bench, device, traffic, 100, 6.0)
    server, _ = run(bench, device, bench.REQUEST, wanted)
    for batch in server.batches:
        assert len({each.group for each in batch}) == 1
        assert sum(each.rows for each in batch) <= 8
    assert max(map(len, server.batches)) > 1


def test_an_idle_device_lets_a_request_wait_50_ms_for_company_and_no_longer(
    bench: Any, device: Any
) -> None:
    first, second, third = (
        bench.replace(each, arrives_at=at)
        for each, at in zip(
            requests(bench, device, "equal", 3, 1.0), (1.0, 1.04, 1.06), strict=True
        )
    )
    server, served = run(bench, device, bench.REQUEST, [first, second, third])
    assert [[each.number for each in batch] for batch in server.batches] == [[0, 1], [2]]
    batch_s = 0.004 + 20 * 1.02 * 0.014 + device._table.decoder_s(2, (4, 4))
    assert served[0].ended_at == pytest.approx(1.05 + batch_s)


def test_a_full_batch_does_not_wait(bench: Any, device: Any) -> None:
    four = [
        bench.replace(each, arrives_at=1.0) for each in requests(bench, device, "equal", 4, 1.0)
    ]
    server, served = run(bench, device, bench.REQUEST, four)
    assert len(server.batches) == 1
    assert served[0].latency_s == pytest.approx(
        0.004 + 20 * 1.02 * 0.018 + device._table.decoder_s(4, (4, 4))
    )


def test_the_group_of_the_oldest_request_is_next(bench: Any, device: Any) -> None:
    wanted = requests(bench, device, "mixed", 60, 1000.0)
    server, _ = run(bench, device, bench.REQUEST, wanted)
    left = list(wanted)
    for batch in server.batches[1:]:
        done = {each.number for each in batch}
        waiting = [each for each in left if each.number not in _first(server)]
        assert min(waiting, key=lambda each: each.arrives_at).number in done
        left = [each for each in waiting if each.number not in done]


def _first(server: Any) -> set[int]:
    return {each.number for each in server.batches[0]}


def test_short_requests_leave_the_steps_of_long_ones(bench: Any, device: Any) -> None:
    long = bench.replace(requests(bench, device, "equal", 1, 1.0)[0], steps=50, arrives_at=0.0)
    short = bench.replace(long, number=1, steps=4, arrives_at=0.1)
    ends = {}
    for policy in (bench.REQUEST, bench.STEP):
        _, served = run(bench, device, policy, [long, short])
        ends[policy] = {each.request.number: each.ended_at for each in served}
    assert ends[bench.REQUEST][1] > ends[bench.REQUEST][0]
    assert ends[bench.STEP][1] < 0.2 < ends[bench.STEP][0]


def test_fixed_rows_cost_every_call_its_widest(bench: Any, device: Any) -> None:
    [request] = requests(bench, device, "equal", 1, 1.0)
    _, [served] = run(bench, device, bench.FIXED, [request])
    assert served.latency_s == pytest.approx(2 * 0.001 + 20 * 1.02 * 0.018 + 0.005)


def test_saturation_on_a_table_is_the_same_again_and_what_can_be_reckoned(
    bench: Any, device: Any
) -> None:
    plan = bench.Plan(0, 0, 48, policies=(bench.ONE, bench.REQUEST, bench.STEP))
    equal = bench.TRAFFICS["equal"]
    found = bench.capacities(device, equal, plan, 0)
    assert bench.capacities(device, equal, plan, 0) == found
    full = 4 / (0.004 + 20 * 1.02 * 0.018 + device._table.decoder_s(4, (4, 4)))
    assert found[bench.REQUEST] == pytest.approx(full)
    assert found[bench.STEP] == pytest.approx(full, rel=0.05)
    mixed = bench.capacities(device, bench.TRAFFICS["mixed"], plan, 0)
    assert mixed[bench.STEP] > mixed[bench.REQUEST] > mixed[bench.ONE]


def test_bars_are_told_from_what_was_found(bench: Any) -> None:
    found = bench.bars({"mixed": {"capacity_ratio": {"median": 1.4}}})
    assert [(each["found"], each["bar"]) for each in found.values()] == [(1.4, "MISS")]
    found = bench.bars({"equal": {"capacity_ratio": {"median": 1.0}}})
    assert [each["bar"] for each in found.values()] == ["PASS"]


def test_percentiles_count_from_the_intended_arrival(bench: Any, device: Any) -> None:
    wanted = requests(bench, device, "equal", 100, 1000.0)
    _, served = run(bench, device, bench.ONE, wanted)
    found = bench.outcome(served, device.alone_s, 2.0)
    alone = device.alone_s(wanted[0])
    assert found.p95_s == pytest.approx(95 * alone, rel=0.03)
    assert found.on_time == pytest.approx(0.04)
    assert found.pictures_per_s == pytest.approx(1 / alone, rel=0.01)
    assert found.short_p95_s is None


def test_real_policies_make_the_same_pictures_end_to_end(
    bench: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "policies.json"
    options = ["--small", "--checkpoint", str(checkpoint), "--json", str(found)]
    monkeypatch.setattr(sys, "argv", ["policies.py", *options, "--traffic", "short among long"])
    bench.main()
    content = json.loads(found.read_text())
    assert content["exactness_of_255"] <= 2
    traffic = content["traffics"]["short among long"]
    assert set(traffic["loads"]) == {"0.8"}
    for policy in (bench.ONE, bench.REQUEST, bench.STEP):
        assert traffic["loads"]["0.8"]["policies"][policy]["requests"]["median"] == 6
        assert traffic["capacity_per_s"][policy]["median"] > 0
    assert len(content["bars"]) == 1


def test_measuring_in_pieces_keeps_the_capacities(bench: Any, device: Any) -> None:
    plan = bench.Plan(8, 4, 8, loads=(0.8,), users=8)
    first = bench.measure(device, bench.TRAFFICS["equal"], plan)
    second = bench.measure(
        device, bench.TRAFFICS["equal"], bench.replace(plan, loads=(0.3,)), first
    )
    assert second["capacity_per_s"] == first["capacity_per_s"]
    assert list(second["loads"]) == ["0.3", "0.8"]
    assert second["loads"]["0.8"] == first["loads"]["0.8"]


def test_a_comparison_within_a_time_ends_and_has_every_bar(bench: Any, device: Any) -> None:
    plan = bench.Plan(400, 0, 400, loads=(0.8,), limit_s=0.01)
    traffics = (bench.EQUAL, bench.MIXED, bench.SHORT)
    found = {each.name: bench.measure(device, each, plan) for each in traffics}
    bars = bench.bars(found)
    assert len(bars) == 4
    assert all(math.isfinite(each["found"]) for each in bars.values())
