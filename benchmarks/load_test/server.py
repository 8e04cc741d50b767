"""What the service's processes did during a run, by their own metrics."""

from itertools import pairwise
from typing import Any

from contract import timeline
from load_test.metrics import Reading
from load_test.watch import Watch

PHASES = tuple(phase for phase in timeline.PHASES if phase != "publish")
"""Those that the timings of a job tell of."""

Figures = dict[str, Any]


def server_figures(watch: Watch) -> Figures:
    """By the processes' own metrics, from the first request that counts to the end of the last:
    other callers' work is in them."""
    first, last = watch.first, watch.last
    if first is None or last is None:
        return {"api": None, "workers": None}
    span_s = last.at - first.at
    api = last.api.since(first.api) if last.api and first.api else None
    workers = last.worked_since(first)
    return {
        "span_s": span_s,
        "api": _api(api) if api else None,
        "workers": _workers(workers, span_s) if workers else None,
    }


def _api(done: Reading) -> Figures:
    errors = done.by("darkroom_http_errors_total", "code")
    return {
        "jobs_accepted": done.sum("darkroom_jobs_accepted_total"),
        "post_mean_s": done.mean("darkroom_http_request_seconds", route="/generate"),
        "errors": {code: number for code, number in errors.items() if number},
        "cpu_s": done.sum("process_cpu_seconds_total"),
    }


def _workers(done: Reading, span_s: float) -> Figures:
    busy = done.by("darkroom_device_busy_seconds_total", "work")
    buckets = sorted(
        (float(edge), number)
        for edge, number in done.by("darkroom_batch_occupancy_bucket", "le").items()
    )
    return {
        "jobs": done.by("darkroom_jobs_total", "outcome"),
        "pictures": done.sum("darkroom_pictures_total"),
        "steps": done.sum("darkroom_steps_total"),
        "rows": done.sum("darkroom_rows_total"),
        "rows_per_step": done.mean("darkroom_rows_per_step"),
        "step_mean_s": done.mean("darkroom_step_seconds"),
        "occupancy": done.mean("darkroom_batch_occupancy"),
        "occupancy_steps": {
            f"{high:g}": number - before
            for (_, before), (high, number) in pairwise([(0.0, 0.0), *buckets])
            if high <= 1
        },
        "device_busy": {work: seconds / span_s for work, seconds in busy.items()},
        "phases_mean_s": {
            phase: done.mean("darkroom_phase_seconds", phase=phase)
            for phase in (*PHASES, "publish")
        },
        "row_steps_wasted": done.sum("darkroom_row_steps_wasted_total"),
        "jobs_recovered": done.sum("darkroom_jobs_recovered_total"),
    }
