"""Serving policies side by side: their clock, their arrivals, their batches."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import policies
import pytest
import torch
from policies import bars
from policy.devices import FIXED, ONE, REQUEST, STEP, SimulatedDevice
from policy.outcome import outcome
from policy.runs import Plan, capacities, measure
from policy.serving import fullest_first, replay
from policy.tables import show_bars
from policy.traffic import EQUAL, MIXED, SHORT, TRAFFICS, at_rate
from policy.virtual_clock import VirtualClock
from simulated.step_times import StepTimes

from tests.checkpoints import build_checkpoint
from worker.engine.model import Model, load_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tiny(checkpoint: Path) -> Model:
    return load_model(checkpoint, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def device(tiny: Model) -> Any:
    """One whose U-Net takes 10 ms a call and 1 ms a row, up to 8 rows."""
    unet_s = {rows: 0.010 + 0.001 * rows for rows in range(1, 9)}
    times = StepTimes(64, unet_s, {1: 0.005, 8: 0.040})
    return SimulatedDevice(tiny, times, 8)


def requests(device: Any, traffic: str, count: int, per_s: float) -> list[Any]:
    drawn = TRAFFICS[traffic].requests(count, 0, device.native)
    return list(at_rate(drawn, per_s))


def run(device: Any, policy: str, wanted: list[Any]) -> Any:
    """The server when all is done, and what it served."""
    server = device.server(policy)
    return server, [each for part in replay(server, wanted) for each in part]


def test_waiting_takes_no_time_and_work_takes_its_own() -> None:
    clock = VirtualClock()
    clock.skip_to(100.0)
    clock.skip_to(50.0)
    assert clock.now == 100.0
    with clock.measured():
        sum(range(100_000))
    assert 100.0 < clock.now < 101.0


def test_a_request_alone_takes_what_its_calls_take_whoever_serves_it(device: Any) -> None:
    [request] = requests(device, "equal", 1, 0.001)
    rows_s = 1.02 * 0.012
    alone = 0.004 + 20 * rows_s + 0.005
    assert device.alone_s(request) == pytest.approx(alone)
    for policy, more in ((ONE, 0.0), (REQUEST, 0.05), (STEP, 2 * 0.001 - 0.004)):
        _, [served] = run(device, policy, [request])
        assert served.latency_s == pytest.approx(alone + more)


def test_all_policies_have_the_same_arrivals_and_serve_each_once(device: Any) -> None:
    wanted = requests(device, "mixed", 40, 4.0)
    assert wanted[:20] == requests(device, "mixed", 20, 4.0)
    assert len({each.prompt for each in wanted}) == len(wanted)
    for policy in (ONE, REQUEST, STEP, FIXED):
        _, served = run(device, policy, wanted)
        assert sorted(each.request.number for each in served) == list(range(40))
        assert all(each.request is wanted[each.request.number] for each in served)
        assert all(each.latency_s > 0 for each in served)


@pytest.mark.parametrize("traffic", ["mixed", "popular", "sizes", "equal"])
def test_a_batch_holds_requests_of_one_group_that_fit(device: Any, traffic: str) -> None:
    wanted = requests(device, traffic, 100, 6.0)
    server, _ = run(device, REQUEST, wanted)
    for batch in server.batches:
        assert len({each.group for each in batch}) == 1
        assert sum(each.rows for each in batch) <= 8
    assert max(map(len, server.batches)) > 1


def test_an_idle_device_lets_a_request_wait_50_ms_for_company_and_no_longer(device: Any) -> None:
    first, second, third = (
        replace(each, arrives_at=at)
        for each, at in zip(requests(device, "equal", 3, 1.0), (1.0, 1.04, 1.06), strict=True)
    )
    server, served = run(device, REQUEST, [first, second, third])
    assert [[each.number for each in batch] for batch in server.batches] == [[0, 1], [2]]
    batch_s = 0.004 + 20 * 1.02 * 0.014 + device._table.decoder_s(2, (4, 4))
    assert served[0].ended_at == pytest.approx(1.05 + batch_s)


def test_a_full_batch_does_not_wait(device: Any) -> None:
    four = [replace(each, arrives_at=1.0) for each in requests(device, "equal", 4, 1.0)]
    server, served = run(device, REQUEST, four)
    assert len(server.batches) == 1
    assert served[0].latency_s == pytest.approx(
        0.004 + 20 * 1.02 * 0.018 + device._table.decoder_s(4, (4, 4))
    )


def test_the_group_of_the_oldest_request_is_next(device: Any) -> None:
    wanted = requests(device, "mixed", 60, 1000.0)
    server, _ = run(device, REQUEST, wanted)
    left = list(wanted)
    for batch in server.batches[1:]:
        done = {each.number for each in batch}
        waiting = [each for each in left if each.number not in _first(server)]
        assert min(waiting, key=lambda each: each.arrives_at).number in done
        left = [each for each in waiting if each.number not in done]


def _first(server: Any) -> set[int]:
    return {each.number for each in server.batches[0]}


def test_another_order_of_batches_is_the_fullest_first(tiny: Model, device: Any) -> None:
    other = SimulatedDevice(tiny, device.times, 8, order=fullest_first)
    wanted = requests(device, "popular", 60, 1000.0)
    oldest, _ = run(device, REQUEST, wanted)
    server, served = run(other, REQUEST, wanted)
    assert len(served) == 60
    sizes = [len(batch) for batch in server.batches[1:]]
    assert sizes == sorted(sizes, reverse=True) != [len(batch) for batch in oldest.batches[1:]]


def test_short_requests_leave_the_steps_of_long_ones(device: Any) -> None:
    long = replace(requests(device, "equal", 1, 1.0)[0], steps=50, arrives_at=0.0)
    short = replace(long, number=1, steps=4, arrives_at=0.1)
    ends = {}
    for policy in (REQUEST, STEP):
        _, served = run(device, policy, [long, short])
        ends[policy] = {each.request.number: each.ended_at for each in served}
    assert ends[REQUEST][1] > ends[REQUEST][0]
    assert ends[STEP][1] < 0.2 < ends[STEP][0]


def test_fixed_rows_cost_every_call_its_widest(device: Any) -> None:
    [request] = requests(device, "equal", 1, 1.0)
    _, [served] = run(device, FIXED, [request])
    assert served.latency_s == pytest.approx(2 * 0.001 + 20 * 1.02 * 0.018 + 0.005)


def test_saturation_on_a_table_is_the_same_again_and_what_can_be_reckoned(device: Any) -> None:
    plan = Plan(0, 0, 48, policies=(ONE, REQUEST, STEP))
    equal = TRAFFICS["equal"]
    found = capacities(device, equal, plan, 0)
    assert capacities(device, equal, plan, 0) == found
    full = 4 / (0.004 + 20 * 1.02 * 0.018 + device._table.decoder_s(4, (4, 4)))
    assert found[REQUEST] == pytest.approx(full)
    assert found[STEP] == pytest.approx(full, rel=0.05)
    mixed = capacities(device, TRAFFICS["mixed"], plan, 0)
    assert mixed[STEP] > mixed[REQUEST] > mixed[ONE]


def test_bars_are_told_from_what_was_found() -> None:
    found = bars({"mixed": {"capacity_ratio": {"median": 1.4}}})
    assert [(each["found"], each["bar"]) for each in found.values()] == [(1.4, "MISS")]
    found = bars({"equal": {"capacity_ratio": {"median": 1.0}}})
    assert [each["bar"] for each in found.values()] == ["PASS"]


def test_bars_of_several_runs_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    runs = {
        run: bars({"mixed": {"capacity_ratio": {"median": ratio}}})
        for run, ratio in (("first run", 1.456), ("second run", 1.68))
    }
    show_bars(runs)
    head, _, line = capsys.readouterr().out.split("\n", 1)[1].splitlines()
    assert head == "| bar | first run | second run |"
    assert line.endswith("mixed, at least 1.5 | 1.46 MISS | 1.68 PASS |")


def test_percentiles_count_from_the_intended_arrival(device: Any) -> None:
    wanted = requests(device, "equal", 100, 1000.0)
    _, served = run(device, ONE, wanted)
    found = outcome(served, device.alone_s, 2.0)
    alone = device.alone_s(wanted[0])
    assert found.p95_s == pytest.approx(95 * alone, rel=0.03)
    assert found.on_time == pytest.approx(0.04)
    assert found.pictures_per_s == pytest.approx(1 / alone, rel=0.01)
    assert found.short_p95_s is None


def test_real_policies_make_the_same_pictures_end_to_end(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "policies.json"
    options = ["--small", "--checkpoint", str(checkpoint), "--json", str(found)]
    monkeypatch.setattr(sys, "argv", ["policies.py", *options, "--traffic", "short among long"])
    policies.main()
    content = json.loads(found.read_text())
    assert content["exactness_of_255"] <= 2
    traffic = content["traffics"]["short among long"]
    assert set(traffic["loads"]) == {"0.8"}
    for policy in (ONE, REQUEST, STEP):
        assert traffic["loads"]["0.8"]["policies"][policy]["requests"]["median"] == 6
        assert traffic["capacity_per_s"][policy]["median"] > 0
    assert len(content["bars"]) == 1


def test_a_simulated_device_has_its_bars_by_each_run_that_measured_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "policies.json"
    options = ["--simulated", "--small", "--checkpoint", str(checkpoint), "--json", str(found)]
    monkeypatch.setattr(sys, "argv", ["policies.py", *options, "--traffic", "equal", "popular"])
    policies.main()
    content = json.loads(found.read_text())
    assert content["traffics"].keys() == {"equal", "popular"}
    again = content["other_runs"]["second run"]
    assert again["traffics"].keys() == {"equal"}
    assert again["bars"].keys() == content["bars"].keys()
    assert again["bars"] != content["bars"]


def test_measuring_in_pieces_keeps_the_capacities(device: Any) -> None:
    plan = Plan(8, 4, 8, loads=(0.8,), users=8)
    first = measure(device, TRAFFICS["equal"], plan)
    second = measure(device, TRAFFICS["equal"], replace(plan, loads=(0.3,)), first)
    assert second["capacity_per_s"] == first["capacity_per_s"]
    assert list(second["loads"]) == ["0.3", "0.8"]
    assert second["loads"]["0.8"] == first["loads"]["0.8"]


def test_a_comparison_within_a_time_ends_and_has_every_bar(device: Any) -> None:
    plan = Plan(400, 0, 400, loads=(0.8,), limit_s=0.01)
    traffics = (EQUAL, MIXED, SHORT)
    found = {each.name: measure(device, each, plan) for each in traffics}
    told = bars(found)
    assert len(told) == 4
    assert all(math.isfinite(each["found"]) for each in told.values())
