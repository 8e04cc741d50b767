"""What a run has shown, as figures: everything that is printed or drawn is taken from here."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from percentiles import rank, spread
from promises import errors

from load_test.choices import Size
from load_test.demand import Ask
from load_test.run import GAVE_UP, INTERRUPTED, Outcome, Plan, Run
from load_test.server import PHASES, server_figures
from load_test.service import REFUSALS
from load_test.trust import client_figures, warnings
from load_test.watch import Watch, thinned

MOST_BINS = 60
IN_A_BIN = 4  # requests at least, on average
MOST_DOTS, MOST_SAMPLES = 1500, 1000
BINS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
CDF_SHARES = (*(n / 200 for n in range(199)), 0.9925, 0.995, 0.9975, 0.999, 1.0)
MOST_GROUPS = 12
REFUSED = tuple(map(str, REFUSALS))

Figures = dict[str, Any]


def figures(run: Run, watch: Watch, plan: Plan, about: Figures, objective_s: float) -> Figures:
    """All of a run that counts; times in seconds.

    Args:
        about: what the run was, as it is to be told.
        objective_s: the response time that is good enough.
    """
    counted = [outcome for outcome in run.outcomes if outcome.is_counted]
    timed = [outcome for outcome in counted if outcome.has_time]
    good = [outcome for outcome in counted if outcome.has_succeeded]
    found: Figures = {
        "about": about,
        "requests": _requests(run, counted),
        "throughput": _throughput(run, plan, counted),
        "objective": _objective(counted, objective_s),
        "response_s": spread(outcome.response_s for outcome in timed),
        "service_s": spread(outcome.service_s for outcome in good),
        "accept_s": spread(
            o.accepted - o.sent for o in counted if o.accepted is not None and o.sent is not None
        ),
        "by": _groups(timed),
        "errors": dict(Counter(o.error for o in counted if o.error).most_common()),
        "refusals": dict(Counter(code for o in counted for code in o.refusals).most_common()),
        "phases": _phases(good),
        "estimates": _estimates(good),
        "server": server_figures(watch),
        "cdf": {
            "response_s": _cdf([outcome.response_s for outcome in timed]),
            "service_s": _cdf([outcome.service_s for outcome in good]),
        },
        "series": _series(run, watch, plan),
    }
    found["client"] = client_figures(run, watch, plan, found["response_s"]["p50"])
    found["warnings"] = warnings(found, run)
    return found


def _requests(run: Run, counted: Sequence[Outcome]) -> Figures:
    errors = Counter(outcome.error for outcome in counted if outcome.error)
    return {
        "counted": len(counted),
        "succeeded": sum(outcome.has_succeeded for outcome in counted),
        "refused": sum(n for code, n in errors.items() if code.startswith(REFUSED)),
        "failed": sum(n for code, n in errors.items() if not _has_own_count(code)),
        "given_up": errors[GAVE_UP],
        "interrupted": errors[INTERRUPTED],
        "pictures": sum(outcome.ask.images for outcome in counted if outcome.has_succeeded),
        "warm_up": len(run.outcomes) - len(counted),
        "cancelled_at_the_end": run.cancelled,
    }


def _has_own_count(code: str) -> bool:
    return code in (GAVE_UP, INTERRUPTED) or code.startswith(REFUSED)


def _throughput(run: Run, plan: Plan, counted: Sequence[Outcome]) -> Figures:
    """Over the time in which the load was on: from the first request that counts until the last
    one was due. What ended then counts, whenever it was sent, so that neither end is favoured."""
    began, ended = _window(run, plan, counted)
    within = [o for o in run.outcomes if o.has_succeeded and began <= (o.ended or 0.0) <= ended]
    span_s = ended - began
    return {
        "window_s": span_s,
        "jobs": len(within),
        "offered_per_s": len(counted) / span_s if span_s else None,
        "jobs_per_s": len(within) / span_s if span_s else None,
        "pictures_per_s": sum(o.ask.images for o in within) / span_s if span_s else None,
        "model_evaluations_per_s": sum(_evaluations(o.ask) for o in within) / span_s
        if span_s
        else None,
    }


def _evaluations(ask: Ask) -> int:
    """Rows of U-Net calls, for a sampler that evaluates the model once a step."""
    return ask.steps * ask.images * (2 if ask.guidance > 1 else 1)


def _window(run: Run, plan: Plan, counted: Sequence[Outcome]) -> tuple[float, float]:
    began = plan.warm_up_s
    if run.is_interrupted or plan.seconds is None:
        return began, max((outcome.intended for outcome in counted), default=began)
    return began, plan.end_s


def _objective(counted: Sequence[Outcome], objective_s: float) -> Figures:
    """Goodput: of all that was asked for, refusals and failures among it, but not of what was under
    way when the run was interrupted."""
    judged = [outcome for outcome in counted if outcome.error != INTERRUPTED]
    met = sum(o.has_succeeded and o.response_s <= objective_s for o in judged)
    return {"response_s": objective_s, "met": met, "share": met / len(judged) if judged else None}


def _groups(timed: Sequence[Outcome]) -> Figures:
    """Response times by what was asked for, where that differs."""
    parts: Mapping[str, Callable[[Ask], object]] = {
        "class": lambda ask: ask.kind,
        "steps": lambda ask: ask.steps,
        "size": lambda ask: ask.size,
        "images": lambda ask: ask.images,
        "sampler": lambda ask: ask.sampler,
        "guidance": lambda ask: ask.guidance,
    }
    found: Figures = {}
    for part, told in parts.items():
        times: dict[Any, list[float]] = {}
        for outcome in timed:
            times.setdefault(told(outcome.ask), []).append(outcome.response_s)
        if 1 < len(times) <= MOST_GROUPS:
            ordered = sorted(times.items(), key=_by_value)
            found[part] = {str(value): spread(each) for value, each in ordered}
    if _same(found.get("steps"), found.get("class")):
        del found["steps"]
    return found


def _same(one: Figures | None, other: Figures | None) -> bool:
    """Whether they group alike, whatever the groups are called."""
    if one is None or other is None or len(one) != len(other):
        return False
    return all(each in other.values() for each in one.values())


def _by_value(item: tuple[Any, list[float]]) -> tuple[float, str]:
    value = item[0]
    if isinstance(value, Size):
        return value.width * value.height, str(value)
    return (float(value) if isinstance(value, int | float) else 0.0), str(value)


def _phases(good: Sequence[Outcome]) -> Figures:
    """Where the service time went, by the jobs' own timings. `outside` is what they do not cover:
    the commit, the way of request and answer, and fetching; each job's phases and it add up."""
    found, jobs = {}, [(o, o.job.timings) for o in good if o.job and "total" in o.job.timings]
    whole_s = sum(outcome.service_s for outcome, _ in jobs)
    times = {phase: [timings.get(phase, 0.0) for _, timings in jobs] for phase in PHASES}
    times["outside"] = [outcome.service_s - timings["total"] for outcome, timings in jobs]
    for phase, each in times.items():
        share = sum(each) / whole_s if whole_s else None
        found[phase] = {**spread(each), "share": share}
    return found


def _estimates(good: Sequence[Outcome]) -> Figures:
    """Of the seconds that were promised at acceptance, by the service's own clock."""
    jobs = [(outcome.promised_s, outcome.job) for outcome in good]
    return errors(
        (promised_s, job.ended - job.created)
        for promised_s, job in jobs
        if job and job.ended and promised_s is not None and not job.cached
    )


def _cdf(times: Sequence[float]) -> list[tuple[float, float]]:
    """Points (seconds, share of requests that took so long at most)."""
    values = sorted(times)
    if len(values) < 2:
        return [(value, 1.0) for value in values]
    shares = (
        CDF_SHARES
        if len(values) > len(CDF_SHARES)
        else [n / (len(values) - 1) for n in range(len(values))]
    )
    return [(rank(values, 100 * share) or 0.0, share) for share in shares]


def _series(run: Run, watch: Watch, plan: Plan) -> Figures:
    """Over time, in seconds since the run's start, warm-up included."""
    ends = [(o.ended, o.ask.images) for o in run.outcomes if o.has_succeeded and o.ended]
    last = max([*(at for at, _ in ends), *(o.intended for o in run.outcomes)], default=0.0)
    bin_s = _bin_s(last, len(run.outcomes))
    bins = int(last / bin_s) + 1
    sent, ended, pictures = [0] * bins, [0] * bins, [0] * bins
    for outcome in run.outcomes:
        sent[int(outcome.intended / bin_s)] += 1
    for at, images in ends:
        ended[int(at / bin_s)] += 1
        pictures[int(at / bin_s)] += images
    rates = {"meant": sent, "ended": ended, "pictures": pictures}
    return {
        "counted_from_s": plan.warm_up_s,
        "bin_s": bin_s,
        **{f"{name}_per_s": [n / bin_s for n in each] for name, each in rates.items()},
        "responses": _dots(run),
        "samples": [asdict(sample) for sample in thinned(watch.samples, MOST_SAMPLES)],
    }


def _bin_s(last: float, requests: int) -> float:
    """Few enough bins, with enough requests in each to make a rate of them."""
    for each in BINS_S:
        if last / each <= MOST_BINS and requests * each >= IN_A_BIN * last:
            return each
    return BINS_S[-1]


def _dots(run: Run) -> list[tuple[float, float, str]]:
    """When a request was meant to be sent, its response time and its class; of many, some."""
    timed = [outcome for outcome in run.outcomes if outcome.has_time]
    each = -(-len(timed) // MOST_DOTS) or 1
    return [(o.intended, o.response_s, o.ask.kind) for o in timed[::each]]
