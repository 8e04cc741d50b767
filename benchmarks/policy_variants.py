"""What the policies of policies.py would do with other settings, on the simulated device.

    python benchmarks/policy_variants.py [--traffic NAME] [--json FILE]

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

import torch
from policies import BAR_LOAD, MOST_ROWS, STARTER, Plan, capacities, rounded, served_at
from policy_devices import FIXED, REQUEST, STEP, Padded, SimulatedDevice
from policy_tables import table
from step_times import FAMILY, TABLE, StepTimes
from traffic import MIXED, TRAFFICS, Traffic

from worker.engine.model import Model, UnetCall, load_model

BUCKETS = (1, 2, 4, 8, 16, 32)
SEEDS = (0, 1, 2)
REQUESTS = 300
PLAN = Plan(at_bar=REQUESTS, elsewhere=0, saturation=400, policies=(REQUEST, STEP))
USERS = (16, 64, 256)
HEAD = ("policy", "variant", "at saturation, pictures/s", "p95 s", "on time", "rows a call")


def in_buckets(call: UnetCall) -> UnetCall:
    return Padded(call, BUCKETS)


def variants(model: Model, times: StepTimes) -> dict[tuple[str, str], SimulatedDevice]:
    """By policy and by what is otherwise."""
    rows = MOST_ROWS["cuda"]
    plain = SimulatedDevice(model, times, rows)
    found = {
        (REQUEST, "as it is"): plain,
        (STEP, "as it is"): plain,
        (STEP, f"each call padded to one of {BUCKETS} rows"): SimulatedDevice(
            model, times, rows, around=in_buckets
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
    eager = StepTimes.read(TABLE, FAMILY)
    eager = replace(eager, unet_s=eager_unet_s(TABLE, FAMILY))
    found[REQUEST, "U-Net calls as diffusers launches them"] = SimulatedDevice(
        model, times, rows, diffusers_times=eager
    )
    return found


def eager_unet_s(file: Path, family: str) -> dict[int, float]:
    runs = json.loads(file.read_text()).values()
    unets = next(run["unets"] for run in runs if "unets" in run)
    return {int(rows): taken for rows, taken in unets[family]["seconds"]["diffusers"].items()}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traffic", nargs="+", choices=TRAFFICS, default=[MIXED.name])
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    model = load_model(STARTER, torch.device("cpu"), torch.float32)
    times = StepTimes.read(TABLE, FAMILY)
    found = {name: measure(TRAFFICS[name], model, times) for name in options.traffic}
    for name, content in found.items():
        show(name, content)
    if options.json:
        options.json.write_text(json.dumps(rounded(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
