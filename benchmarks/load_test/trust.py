"""Whether a run's figures can be trusted: what this program itself added to them."""

from collections.abc import Mapping
from typing import Any

from percentiles import spread

from load_test.run import Plan, Run
from load_test.watch import Watch

LATE_S = 0.05
LATE_LEAST_S = 0.01
LATE_SHARE = 0.1  # of the median response
BUSY = 0.85  # of a core
FEW = 100  # requests, below which a 99th percentile is one of the very last
TIMELESS = 0.01  # of the requests, above which percentiles are of a chosen part of them
FEW_ENDS = 10  # jobs, below which a throughput is hardly one

Figures = dict[str, Any]


def client_figures(run: Run, watch: Watch, plan: Plan, median_s: float | None) -> Figures:
    """Whether this program kept up: how late it sent, for reasons of its own alone."""
    lags = [outcome.lag_s for outcome in run.outcomes if outcome.lag_s is not None]
    held_up = [outcome.slot_s for outcome in run.outcomes if outcome.slot_s > LATE_LEAST_S]
    allowed_s = min(LATE_S, max(LATE_LEAST_S, LATE_SHARE * (median_s or 1.0)))
    return {
        "send_late_s": spread(lags),
        "loop_late_s": spread(watch.late_s),
        "allowed_s": allowed_s,
        "cpu_share": watch.cpu_share,
        "most_open": plan.most_open,
        "held_up_by_most_open": len(held_up),
    }


def warnings(found: Mapping[str, Any], run: Run) -> list[str]:
    """Why the figures are not to be trusted, if so; the most serious first."""
    client, said = found["client"], []
    allowed_s, late_s = client["allowed_s"], client["send_late_s"]["p99"] or 0.0
    loop_s = client["loop_late_s"]["p99"] or 0.0
    if late_s > allowed_s:
        said.append(
            f"The client was the bottleneck: 1 in 100 requests left {1000 * late_s:.0f} ms or more "
            f"after its time, where {1000 * allowed_s:.0f} ms are allowed."
        )
    if client["held_up_by_most_open"]:
        said.append(
            f"The client was the bottleneck: {client['held_up_by_most_open']} requests had to wait "
            f"for one of --most-open {client['most_open']}."
        )
    if loop_s > allowed_s:
        said.append(
            f"The client's event loop was {1000 * loop_s:.0f} ms late or more 1 time in 100: what "
            "it saw of the ends is as late."
        )
    if client["cpu_share"] > BUSY:
        said.append(f"The client took {client['cpu_share']:.0%} of a core.")
    if run.is_interrupted:
        n = found["requests"]["interrupted"]
        said.append(f"The run was interrupted, with {n} requests under way, which are left out.")
    if found["requests"]["given_up"]:
        said.append(
            f"{found['requests']['given_up']} requests were given up after their time limit, and "
            "count as if they had ended then."
        )
    timeless = found["requests"]["refused"] + found["requests"]["failed"]
    if timeless > TIMELESS * found["requests"]["counted"]:
        said.append(
            f"{timeless} requests were refused or failed. They have no response time: the "
            "percentiles are those of the others."
        )
    if run.abandoned:
        said.append(
            f"{run.abandoned} jobs could not be cancelled in time, and are the service's still."
        )
    if 0 < found["response_s"]["count"] < FEW:
        said.append(
            f"{found['response_s']['count']} requests are few: the 99th percentile is one of the "
            "slowest two."
        )
    ended = found["throughput"]["jobs"]
    if found["response_s"]["count"] and ended < FEW_ENDS:
        said.append(f"{ended} jobs ended while the load was on: too few to make a throughput of.")
    return said
