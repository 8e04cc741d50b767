"""What came of serving requests: latencies, what was on time, and how much got done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from percentiles import rank

from policy.serving import Served
from policy.traffic import SHORT_STEPS, Request

OBJECTIVE = 4.0
"""A request is on time that ends within so many times what it takes alone on an idle device."""


@dataclass(frozen=True, slots=True)
class Outcome:
    requests: int
    p50_s: float
    p95_s: float
    p99_s: float
    short_p95_s: float | None  # of those with SHORT_STEPS, if there are any
    on_time: float  # share of the requests
    pictures_per_s: float
    goodput_per_s: float  # pictures that were on time
    rows_per_call: float


def outcome(
    served: Sequence[Served], alone_s: Callable[[Request], float], rows_per_call: float
) -> Outcome:
    """
    Args:
        alone_s: how long a request takes alone on an idle device.
    """
    latencies = [each.latency_s for each in served]
    short = [each.latency_s for each in served if each.request.steps == SHORT_STEPS]
    on_time = sum(each.latency_s <= OBJECTIVE * alone_s(each.request) for each in served)
    span = max(each.ended_at for each in served) - min(each.request.arrives_at for each in served)
    p50, p95, p99 = (rank(latencies, percent) or 0.0 for percent in (50, 95, 99))
    return Outcome(
        requests=len(served),
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        short_p95_s=rank(short, 95),
        on_time=on_time / len(served),
        pictures_per_s=len(served) / span,
        goodput_per_s=on_time / span,
        rows_per_call=rows_per_call,
    )


def summary(runs: Sequence[Mapping[str, Outcome]]) -> dict[str, dict[str, Any]]:
    """By policy: medians over the runs, with the least and the most."""
    found: dict[str, dict[str, Any]] = {}
    for policy in runs[0]:
        columns = [asdict(run[policy]) for run in runs]
        found[policy] = {name: spread([each[name] for each in columns]) for name in columns[0]}
    return found


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": median(known), "least": min(known), "most": max(known)}
