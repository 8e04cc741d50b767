"""What the policies of policies.py would do with other settings, on the simulated device.

    python benchmarks/policy_variants.py [--traffic NAME ...] [--devices] [--json FILE]

Every variant serves the same requests at the same rate: BAR_LOAD of what request-level batching can
do as policies.py has it.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import policies
import torch
from policies import MOST_ROWS, STARTER, rounded
from policy import runs as policy_runs
from policy.devices import FIXED, REQUEST, STEP, Around, SimulatedDevice
from policy.runs import BAR_LOAD, Plan, capacities, served_at
from policy.serving import fullest_first
from policy.tables import table
from policy.traffic import EQUAL, MIXED, SHORT, TRAFFICS, Traffic
from simulated.step_times import FAMILY, FIRST, TABLE, StepTimes

from worker.engine.model import Model, load_model
from worker.engine.row_plan import PlannedRows, RowPlan, buckets

SEEDS = (0, 1, 2)
REQUESTS = 300
PLAN = Plan(at_bar=REQUESTS, elsewhere=0, saturation=400, policies=(REQUEST, STEP))
BARRED = (EQUAL, MIXED, SHORT)
USERS = (16, 64, 256)
HEAD = ("policy", "variant", "at saturation, pictures/s", "p95 s", "on time", "rows a call")


def in_buckets(times: StepTimes, most_rows: int, is_timed: bool) -> Around:
    """Calls of 1, 2, 4, ... rows alone: padded to the next of them, or those that take least
    together."""
    plan = RowPlan(buckets(most_rows))
    if is_timed:
        plan.learn({count: times.step_s(count) for count in plan.counts})
    return lambda call: PlannedRows(call, lambda _size: plan)


def variants(model: Model, times: StepTimes) -> dict[tuple[str, str], SimulatedDevice]:
    """By policy and by what is otherwise."""
    rows = MOST_ROWS["cuda"]
    plain = SimulatedDevice(model, times, rows)
    found = {
        (REQUEST, "as it is"): plain,
        (STEP, "as it is"): plain,
        (STEP, "padded to the next of 1, 2, 4, ... rows"): SimulatedDevice(
            model, times, rows, around=in_buckets(times, rows, is_timed=False)
        ),
        (STEP, "calls of 1, 2, 4, ... rows that take least together"): SimulatedDevice(
            model, times, rows, around=in_buckets(times, rows, is_timed=True)
        ),
        (FIXED, f"each call padded to {rows} rows"): plain,
    }
    for fewer in (8, 16):
        for policy in (REQUEST, STEP):
            found[policy, f"at most {fewer} rows"] = SimulatedDevice(model, times, fewer)
        found[FIXED, f"each call padded to {fewer} rows"] = SimulatedDevice(model, times, fewer)
    for window_s in (0.0, 0.2, 1.0):
        name = f"a window of {1000 * window_s:.0f} ms"
        found[REQUEST, name] = SimulatedDevice(model, times, rows, window_s=window_s)
    found[REQUEST, "the fullest batch first"] = SimulatedDevice(
        model, times, rows, order=fullest_first
    )
    return found


def devices(model: Model) -> dict[str, SimulatedDevice]:
    """The device by other step times: how much a ratio owes to what batching gives there."""
    runs = json.loads(TABLE.read_text())
    first = StepTimes.read(TABLE, FAMILY)
    eager = StepTimes.read(TABLE, FAMILY, mode="diffusers")
    second = runs["second run, beside compiling processes"]
    whole_step_ms = runs["third run"]["pictures"]["engine_compiled"]["ms_per_step"]
    compiled_ms = second[f"{FAMILY} compiled and recorded_ms"]
    compiled = StepTimes(
        first.cells,
        _from_ms({"2": compiled_ms["2"], "8": compiled_ms["8"], "32": whole_step_ms}),
        _from_ms(second[f"{FAMILY} decoder compiled and recorded_ms"]),
    )
    rows = MOST_ROWS["cuda"]
    return {
        "SD 1.5, recorded (as policies.py has it)": SimulatedDevice(model, first, rows),
        "SD 1.5, diffusers' calls as it launches them": SimulatedDevice(
            model, first, rows, diffusers_times=eager
        ),
        "SD 1.5, compiled and recorded": SimulatedDevice(model, compiled, rows),
        "SD 1.5, compiled and recorded, the engine in buckets": SimulatedDevice(
            model, compiled, rows, around=in_buckets(compiled, rows, is_timed=True)
        ),
        **{
            f"SD 1.5, recorded, of the {run}": SimulatedDevice(model, times, rows)
            for run, times in StepTimes.runs(TABLE, FAMILY).items()
            if run != FIRST
        },
        "SD 2.1, recorded": SimulatedDevice(model, StepTimes.read(TABLE, "SD 2.1"), rows),
        "SDXL, recorded, at most 16 rows": SimulatedDevice(
            model, StepTimes.read(TABLE, "SDXL"), 16
        ),
    }


def _from_ms(taken: Mapping[str, float]) -> dict[int, float]:
    return {int(rows): each / 1000 for rows, each in taken.items()}


def bars_by_device(model: Model) -> dict[str, Any]:
    plan = replace(PLAN, seeds=SEEDS, loads=(BAR_LOAD,))
    found = {}
    for name, device in devices(model).items():
        traffics = {each.name: policy_runs.measure(device, each, plan) for each in BARRED}
        times = device.times
        found[name] = {
            "gain": times.step_s(2) / 2 / (times.step_s(device.most_rows) / device.most_rows),
            "bars": policies.bars(traffics),
        }
    return found


def measure(traffic: Traffic, model: Model, times: StepTimes) -> dict[str, Any]:
    plain = SimulatedDevice(model, times, MOST_ROWS["cuda"])
    per_s = BAR_LOAD * capacities(plain, traffic, PLAN, 0)[REQUEST]
    found = []
    for (policy, name), device in variants(model, times).items():
        most = capacities(device, traffic, replace(PLAN, policies=(policy,)), 0)[policy]
        runs = [served_at(device, traffic, (policy,), per_s, REQUESTS, seed) for seed in SEEDS]
        middle = {
            column: median(asdict(run[policy])[column] for run in runs)
            for column in ("p95_s", "on_time", "rows_per_call")
        }
        found.append({"policy": policy, "variant": name, "capacity_per_s": most} | middle)
    users = {str(many): capacities(plain, traffic, replace(PLAN, users=many), 0) for many in USERS}
    return {"requests_per_s": per_s, "variants": found, "capacity_by_users": users}


def show(name: str, content: Mapping[str, Any]) -> None:
    print(f"\n{name}, {content['requests_per_s']:.2f} requests a second\n")
    lines = [
        [
            each["policy"],
            each["variant"],
            f"{each['capacity_per_s']:.2f}",
            f"{each['p95_s']:.2f}",
            f"{each['on_time']:.0%}",
            f"{each['rows_per_call']:.1f}",
        ]
        for each in content["variants"]
    ]
    print(table(HEAD, lines))
    print()
    head = ("requests always there", *PLAN.policies)
    users = content["capacity_by_users"].items()
    print(table(head, [[many, *(f"{each[p]:.2f}" for p in PLAN.policies)] for many, each in users]))


def show_devices(found: Mapping[str, Any]) -> None:
    bars = list(next(iter(found.values()))["bars"])
    lines = [
        [name, f"{each['gain']:.2f}", *(f"{each['bars'][bar]['found']:.2f}" for bar in bars)]
        for name, each in found.items()
    ]
    print()
    print(table(("step times", "a row of 2 over one of the most rows", *bars), lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traffic", nargs="+", choices=TRAFFICS, default=[MIXED.name, EQUAL.name])
    parser.add_argument("--devices", action="store_true", help="the bars by other step times")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    model = load_model(STARTER, torch.device("cpu"), torch.float32)
    times = StepTimes.read(TABLE, FAMILY)
    found: dict[str, Any] = {
        name: measure(TRAFFICS[name], model, times) for name in options.traffic
    }
    for name, content in found.items():
        show(name, content)
    if options.devices:
        found["devices"] = bars_by_device(model)
        show_devices(found["devices"])
    if options.json:
        options.json.write_text(json.dumps(rounded(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
