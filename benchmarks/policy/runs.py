"""One traffic, by each policy: what it can do at most, and what becomes of requests at a load."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.devices import FIXED, ONE, REQUEST, STEP, Device
from policy.outcome import Outcome, outcome, spread, summary
from policy.serving import Served, in_turns, replay, saturate
from policy.traffic import Traffic, at_rate

LOADS = (0.3, 0.6, 0.8, 1.0, 1.2)
BAR_LOAD = 0.8
USERS = 64
"""Requests that are always there at saturation, in work or waiting."""

SATURATION_WEIGHT = 1.5
LEAST = 8  # requests at a load, however little time there is
WARM_UP = 16  # pictures at saturation that do not count


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, of each traffic and for each seed."""

    at_bar: int  # requests at BAR_LOAD, which count for the bars
    elsewhere: int  # requests at the other loads, which draw the curve, for two seeds at most
    saturation: int  # pictures at saturation
    seeds: tuple[int, ...] = (0,)
    loads: tuple[float, ...] = LOADS
    policies: tuple[str, ...] = (ONE, REQUEST, STEP)
    users: int = USERS
    fixed: int = 0  # requests at BAR_LOAD that FIXED serves, where it is none of `policies`
    limit_s: float = math.inf  # of real time, about


def capacities(
    device: Device, traffic: Traffic, plan: Plan, seed: int, until: float = math.inf
) -> dict[str, float]:
    """Pictures a second of each policy with so many requests always there, from the rows that its
    U-Net calls had after the first pictures."""
    requests = traffic.requests(plan.users + plan.saturation, 1000 + seed, device.native)
    servers = {policy: device.server(policy) for policy in plan.policies if policy != ONE}
    runs = {
        name: (each, saturate(each, iter(requests), plan.users)) for name, each in servers.items()
    }
    done = dict.fromkeys(servers, 0)
    began: dict[str, tuple[float, int]] = {}
    for name, served in in_turns(runs):
        done[name] += len(served)
        if done[name] >= min(WARM_UP, plan.saturation // 2):
            began.setdefault(name, (servers[name].clock.now, servers[name].rows))
        is_enough = all(name in began and began[name][1] < servers[name].rows for name in servers)
        if is_enough and time.perf_counter() > until:
            break
    found = {}
    for name, server in servers.items():
        since, rows = began[name]
        found[name] = (server.rows - rows) / (server.clock.now - since) / traffic.row_steps
    if ONE in plan.policies:
        seconds = sum(map(device.alone_s, requests))
        row_steps = sum(each.rows * each.steps for each in requests)
        found[ONE] = row_steps / seconds / traffic.row_steps
    return found


def served_at(
    device: Device, traffic: Traffic, policies: Sequence[str], per_s: float, count: int, seed: int
) -> dict[str, Outcome]:
    """The same requests, so many a second, by each policy in turns."""
    requests = at_rate(traffic.requests(count, seed, device.native), per_s)
    servers = {policy: device.server(policy) for policy in policies}
    served: dict[str, list[Served]] = {policy: [] for policy in policies}
    runs = {name: (server, replay(server, requests)) for name, server in servers.items()}
    for name, some in in_turns(runs):
        served[name] += some
    return {
        name: outcome(served[name], device.alone_s, server.rows / server.calls)
        for name, server in servers.items()
    }


def measure(
    device: Device, traffic: Traffic, plan: Plan, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One traffic: capacities, and what became of the requests at each load.

    Args:
        known: what was found before; its capacities and its other loads hold.
    """
    began = time.perf_counter()
    found = dict(known) if known else saturated(device, traffic, plan)
    most = {name: value["median"] for name, value in found["capacity_per_s"].items()}
    loads = dict(found.get("loads", {}))
    for load in plan.loads:
        count = plan.at_bar if load == BAR_LOAD else plan.elsewhere
        if plan.limit_s < math.inf:  # nobody needs more of the device than one by one
            share = plan.limit_s * _weight(load) / _weights(plan)
            count = min(count, max(LEAST, int(share * most[ONE] / 2)))
        runs = [
            served_at(device, traffic, plan.policies, load * most[REQUEST], count, seed)
            for seed in (plan.seeds if load == BAR_LOAD else plan.seeds[:2])
        ]
        loads[str(load)] = {"policies": summary(runs), "ratios": ratios(runs)}
        if plan.fixed and load == BAR_LOAD:
            many = min(plan.fixed, count)
            run = served_at(device, traffic, (FIXED,), load * most[REQUEST], many, plan.seeds[0])
            loads[str(load)]["policies"] |= summary([run])
    taken = found.get("measured_in_s", 0.0) + time.perf_counter() - began
    return found | {"loads": dict(sorted(loads.items())), "measured_in_s": taken}


def saturated(device: Device, traffic: Traffic, plan: Plan) -> dict[str, Any]:
    until = time.perf_counter() + plan.limit_s * SATURATION_WEIGHT / _weights(plan)
    runs = [capacities(device, traffic, plan, seed, until) for seed in plan.seeds]
    return {
        "capacity_per_s": {name: spread([run[name] for run in runs]) for name in runs[0]},
        "capacity_ratio": spread([run[STEP] / run[REQUEST] for run in runs]),
    }


def _weights(plan: Plan) -> float:
    return SATURATION_WEIGHT + sum(map(_weight, plan.loads))


def _weight(load: float) -> float:
    """Of a load, in the time that there is."""
    return 3.0 if load == BAR_LOAD else 0.5


def ratios(runs: Sequence[Mapping[str, Outcome]]) -> dict[str, Any]:
    """Step-level over request-level, run by run."""
    short = [(run[STEP].short_p95_s, run[REQUEST].short_p95_s) for run in runs]
    return {
        "p95": spread([run[STEP].p95_s / run[REQUEST].p95_s for run in runs]),
        "short_p95": spread([one / other if one and other else None for one, other in short]),
        "goodput": spread(
            [
                run[STEP].goodput_per_s / run[REQUEST].goodput_per_s
                if run[REQUEST].goodput_per_s
                else None
                for run in runs
            ]
        ),
    }
