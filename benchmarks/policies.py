"""Three ways to serve pictures, on the same device, model and arrivals.

    python benchmarks/policies.py [--simulated] [--traffic NAME ...] [--quick] [--json FILE]

One by one: a request at a time. Request-level: diffusers' batches of requests that are equal in
size, steps, sampler and guidance, of as many rows as the engine may have, with up to 50 ms of
waiting for company. Step-level: darkroom's engine; on the simulated device once more with each
U-Net call padded to one number of rows. Loads are shares of what the request-level policy does at
most with that very traffic: its throughput with USERS requests always there. Time is a virtual
clock's (`virtual_clock.py`): what the device does is measured, and waiting is skipped. With
`--simulated` the device is a table of measured step times; the engine is the real one all the same.
An H100 measured its steps in two runs: all is told by the first, the bars by both, side by side.

Bars, step-level over request-level: p95 at a load of 0.8 on mixed traffic at most 0.5; throughput
at saturation at least 1.0 on equal and 1.5 on mixed traffic; p95 of short requests among long ones
at a load of 0.8 at most 0.3.
"""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from machine import machine
from policy.devices import FIXED, ONE, REQUEST, STEP, Device, RealDevice, SimulatedDevice
from policy.outcome import OBJECTIVE
from policy.pipelines import ENGINE_TEXT_S, STEP_OVERHEAD, TEXT_S, DiffusersPipeline
from policy.runs import BAR_LOAD, USERS, Plan, measure
from policy.serving import WINDOW_S, replay
from policy.tables import show, show_bars
from policy.traffic import EQUAL, MIXED, SHORT, TRAFFICS, Traffic, at_rate
from simulated.step_times import FAMILY, FIRST, TABLE, StepTimes

from worker.engine.call_options import CallOptions
from worker.engine.model import Model, load_model

sys.path.insert(0, str(Path(__file__).parent.parent))  # where tests/ is

STARTER = Path("models/starter")
BAR_TRAFFICS = [EQUAL.name, MIXED.name, SHORT.name]
MOST_ROWS = {"cpu": 16, "cuda": 32}
FULL = Plan(at_bar=200, elsewhere=50, saturation=96, limit_s=140.0, fixed=40)
QUICK = Plan(at_bar=40, elsewhere=0, saturation=32, loads=(BAR_LOAD,), limit_s=20.0)
SMALL = Plan(at_bar=6, elsewhere=0, saturation=6, loads=(BAR_LOAD,), users=6)
SIMULATED = Plan(
    at_bar=400,
    elsewhere=300,
    saturation=400,
    seeds=(0, 1, 2, 3, 4),
    policies=(ONE, REQUEST, STEP, FIXED),
)
AGAIN = {"loads": (BAR_LOAD,), "policies": (REQUEST, STEP)}  # of a plan, where bars are all


def bars(traffics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those whose traffic was measured."""

    def ratio(traffic: Traffic, name: str) -> float | None:
        found = traffics.get(traffic.name, {})
        if name == "capacity":
            return (found.get("capacity_ratio") or {}).get("median")
        at_load = found.get("loads", {}).get(str(BAR_LOAD), {}).get("ratios", {})
        return (at_load.get(name) or {}).get("median")

    asked = (
        ("p95 at 0.8, mixed", ratio(MIXED, "p95"), 0.5, False),
        ("throughput at saturation, equal", ratio(EQUAL, "capacity"), 1.0, True),
        ("throughput at saturation, mixed", ratio(MIXED, "capacity"), 1.5, True),
        ("p95 of the short at 0.8, short among long", ratio(SHORT, "short_p95"), 0.3, False),
    )
    return {
        name: {
            "found": found,
            "at least" if is_least else "at most": bar,
            "bar": "PASS" if (found >= bar if is_least else found <= bar) else "MISS",
        }
        for name, found, bar, is_least in asked
        if found is not None
    }


def exactness(device: RealDevice) -> int:
    """The most that a pixel differs, of 255, between both policies' pictures of equal requests."""
    requests = at_rate(EQUAL.requests(3, 0, device.native), math.inf)
    server = device.server(STEP)
    drawn = {}
    for served in replay(server, requests):
        drawn |= {each.request.number: server.pixels[each.request.number] for each in served}
    batch = DiffusersPipeline(device.model, server.clock).develop(requests)
    pairs = [(drawn[each.number], pixels) for each, pixels in zip(requests, batch, strict=True)]
    return max(int(np.abs(one.astype(int) - other.astype(int)).max()) for one, other in pairs)


def compare(model: Model, most_rows: int, plan: Plan) -> dict[str, Any]:
    """All bars on a real device."""
    device = RealDevice(model, most_rows, alone_repeats=1)
    traffics = [TRAFFICS[name] for name in BAR_TRAFFICS]
    found = {traffic.name: measure(device, traffic, plan) for traffic in traffics}
    return {
        "rows": most_rows,
        "exactness_of_255": exactness(device),
        "traffics": found,
        "bars": bars(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=STARTER)
    parser.add_argument("--traffic", nargs="+", choices=TRAFFICS, help="default: those of the bars")
    parser.add_argument("--rows", type=int, help="most rows of a U-Net call")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--simulated", action="store_true", help="an H100 by its step times")
    parser.add_argument("--family", default=FAMILY, help="of the step times")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--small", action="store_true", help="seconds, for a tiny checkpoint")
    parser.add_argument(
        "--loads", nargs="+", type=float, help="these alone; the rest of the file's stays"
    )
    parser.add_argument("--seconds", type=float, help="about so long for each traffic")
    parser.add_argument("--json", type=Path, help="file to add the result to")
    options = parser.parse_args()
    content = simulation(options) if options.simulated else reality(options)
    show(content)
    show_bars(bars_by_run(content))
    if options.json:
        options.json.write_text(json.dumps(rounded(content), indent=1) + "\n")


def reality(options: argparse.Namespace) -> dict[str, Any]:
    """On this machine's GPU, or else its CPU. What a file has of other traffics stays there."""
    device_type = "cuda" if torch.cuda.is_available() else "cpu"
    if options.threads:
        torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    diffusers.logging.set_verbosity_error()
    model = load_model(
        options.checkpoint,
        torch.device(device_type),
        torch.float16 if device_type == "cuda" else torch.float32,
    )
    plan = SMALL if options.small else QUICK if options.quick else FULL
    most_rows = options.rows or MOST_ROWS[device_type]
    fixed = None
    if plan.fixed:
        fixed = load_model(
            options.checkpoint, model.device, model.dtype, CallOptions(fixed_rows=most_rows)
        )
    device = RealDevice(model, most_rows, 1 if options.small else 3, fixed)
    plan = replace(
        plan,
        limit_s=options.seconds or plan.limit_s,
        loads=tuple(options.loads or plan.loads),
    )
    content = before(options.json)
    content |= facts(device) | {
        "machine": machine() | {"dtype": str(model.dtype), "checkpoint": model.name},
        "exactness_of_255": exactness(device),
    }
    add_traffics(content, device, plan, options.traffic or BAR_TRAFFICS, bool(options.loads))
    return content


def simulation(options: argparse.Namespace) -> dict[str, Any]:
    """On a device that is a table of step times; a small engine stands for the large one."""
    model = load_model(options.checkpoint, torch.device("cpu"), torch.float32)
    rows = options.rows or MOST_ROWS["cuda"]
    devices = {
        run: SimulatedDevice(model, times, rows)
        for run, times in StepTimes.runs(TABLE, options.family).items()
    }
    device = devices.pop(FIRST)
    plan, names = SMALL if options.small else SIMULATED, options.traffic or list(TRAFFICS)
    content = before(options.json)
    content |= facts(device) | {
        "device": f"{options.family} by {TABLE}, {FIRST}",
        "estimates": {
            "text_s": {"diffusers, a batch": TEXT_S, "engine, each text": ENGINE_TEXT_S},
            "step_overhead": STEP_OVERHEAD,
            "other sizes": "in proportion to their area",
        },
    }
    add_traffics(content, device, plan, names)
    for run, other in devices.items():
        told = content.setdefault("other_runs", {}).setdefault(run, {})
        barred = [name for name in names if name in BAR_TRAFFICS]
        add_traffics(told, other, replace(plan, **AGAIN), barred)
    return content


def bars_by_run(content: Mapping[str, Any]) -> dict[str, Any]:
    """Of the device, and of the same one as other runs measured it."""
    others = content.get("other_runs", {})
    return {FIRST: content["bars"]} | {run: told["bars"] for run, told in others.items()}


def before(file: Path | None) -> dict[str, Any]:
    known = json.loads(file.read_text()) if file and file.exists() else {}
    return dict(known)


def facts(device: Device) -> dict[str, Any]:
    return {
        "rows": device.most_rows,
        "window_s": WINDOW_S,
        "users_at_saturation": USERS,
        "objective": f"within {OBJECTIVE:g} times what the request takes alone",
    }


def add_traffics(
    content: dict[str, Any],
    device: Device,
    plan: Plan,
    names: Sequence[str],
    keeps: bool = False,
) -> None:
    """
    Args:
        keeps: whether what a traffic has already is kept, its capacities above all.
    """
    traffics = content.setdefault("traffics", {})
    for name in names:
        known = traffics.get(name) if keeps else None
        traffics[name] = asdict(TRAFFICS[name]) | measure(device, TRAFFICS[name], plan, known)
        print(f"{name}: measured in {traffics[name]['measured_in_s']:.0f} s", flush=True)
    content["bars"] = bars(traffics)


def rounded(value: Any) -> Any:
    """To four digits, so that a file tells what was measured and no noise."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
