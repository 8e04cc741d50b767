"""The figures of a run, from outcomes that are known."""

from typing import Any

import pytest
from load_test.choices import Card
from load_test.demand import Mix
from load_test.page import page
from load_test.progress import line
from load_test.report import figures
from load_test.run import GAVE_UP, INTERRUPTED, Outcome, Plan, Run
from load_test.service import Job, Service
from load_test.watch import Sample, Watch, thinned

from tests.benchmarks.played_service import MODEL

MIX = Mix.parse("short-long", {}).on(Card.of(MODEL))
PLAN = Plan(rate=1.0, seconds=100.0, warm_up_s=10.0)
NOWHERE = "http://127.0.0.1:9"


def job(seconds: float, promised_s: float | None = None) -> Job:
    timings = {"queue": 0.25, "denoise": seconds - 0.5, "total": seconds - 0.25}
    return Job("a", "succeeded", 1000.0, 1000.25, 1000.0 + seconds, None, timings, {}, None, False)


def outcome(
    n: int, seconds: float | None, error: str | None = None, late_s: float = 0.0
) -> Outcome:
    """One request each second; the first ten are of the warm-up."""
    intended, sent = float(n), n + late_s
    made = Outcome(ASKS[n], intended, intended >= PLAN.warm_up_s, intended, first_sent=sent)
    made.sent, made.error = sent, error
    if seconds is not None:
        made.ended = intended + seconds
        made.accepted, made.promised_s = sent, 2.0 * (seconds - late_s)
        made.job = job(seconds - late_s)
    return made


asks = MIX.asks(0)
ASKS = [next(asks) for _ in range(110)]


def found(outcomes: list[Outcome], cpu_share: float = 0.1) -> dict[str, Any]:
    service = Service(NOWHERE)
    run = Run(service, "played", MIX, PLAN)
    run.outcomes = outcomes
    watch = Watch(run, service, "played", [], 1.0)
    watch.cpu_share = cpu_share
    about = {
        "url": NOWHERE, "model": "played", "plan": "", "began": "", "seed": 0,
        "mix": MIX.told(), "client": "",
    }  # fmt: skip
    return figures(run, watch, PLAN, about, objective_s=2.0)


def test_times_count_from_when_a_request_was_meant_and_from_when_it_was_sent() -> None:
    told = found([outcome(n, 3.0, late_s=1.0) for n in range(110)])
    assert told["requests"]["counted"] == 100
    assert told["response_s"]["p99"] == pytest.approx(3.0)
    assert told["service_s"]["p99"] == pytest.approx(2.0)
    assert told["objective"]["met"] == 0  # by the response, which is what a user sees


def test_a_client_that_sends_late_is_named_first() -> None:
    assert found([outcome(n, 3.0) for n in range(110)])["warnings"] == []
    late = found([outcome(n, 3.0, late_s=0.2 if n % 50 == 20 else 0.0) for n in range(110)])
    assert "The client was the bottleneck" in late["warnings"][0]
    busy = found([outcome(n, 3.0) for n in range(110)], cpu_share=0.95)
    assert "95% of a core" in busy["warnings"][0]


def test_what_was_given_up_has_waited_and_what_was_refused_has_not() -> None:
    outcomes = [outcome(n, 1.0) for n in range(110)]
    outcomes[50] = outcome(50, 600.0, GAVE_UP)
    outcomes[60] = outcome(60, None, "503 queue_full")
    outcomes[70] = outcome(70, None, INTERRUPTED)
    told = found(outcomes)
    assert told["response_s"]["max"] == pytest.approx(600.0)
    assert told["response_s"]["count"] == 98
    assert told["errors"] == {GAVE_UP: 1, "503 queue_full": 1, INTERRUPTED: 1}
    assert told["requests"]["refused"] == told["requests"]["given_up"] == 1
    assert told["objective"]["share"] == pytest.approx(97 / 99)  # nobody knows of the interrupted


def test_percentiles_of_a_part_of_the_requests_are_called_so() -> None:
    outcomes = [outcome(n, 1.0) for n in range(110)]
    outcomes[40] = outcome(40, None, "503 queue_full")
    assert found(outcomes)["warnings"] == [
        "99 requests are few: the 99th percentile is one of the slowest two."
    ]
    outcomes[50] = outcome(50, None, "not connected")
    told = found(outcomes)
    assert (told["requests"]["refused"], told["requests"]["failed"]) == (1, 1)
    assert "2 requests were refused or failed" in told["warnings"][0]


def test_a_throughput_of_few_jobs_is_called_so() -> None:
    told = found([outcome(n, 95.0) for n in range(110)])
    assert told["throughput"]["jobs"] < 20
    late = found([outcome(n, 200.0) for n in range(110)])
    assert "0 jobs ended while the load was on" in late["warnings"][-1]


def test_of_many_looks_neighbours_are_told_as_one() -> None:
    looks = [Sample(float(n), n, None if n % 2 else 3.0, None, 0.5, float(n)) for n in range(10)]
    assert thinned(looks, 10) == looks
    assert thinned([], 10) == []
    told = thinned(looks, 4)
    assert [each.at for each in told] == [2.0, 5.0, 8.0, 9.0]
    assert told[0] == Sample(2.0, 2, 3.0, None, 0.5, 1.0)
    assert told[3].depth is None


def test_throughput_is_of_the_time_in_which_the_load_was_on() -> None:
    told = found([outcome(n, 20.0) for n in range(110)])["throughput"]
    assert told["window_s"] == 100.0
    assert told["offered_per_s"] == 1.0
    assert told["jobs_per_s"] == pytest.approx(0.91)  # sent in -10 to 90 s; no draining in it


def test_phases_of_each_job_add_up_to_its_service_time() -> None:
    told = found([outcome(n, 3.0) for n in range(110)])["phases"]
    assert told["outside"]["mean"] == pytest.approx(0.25)
    assert sum(phase["mean"] for phase in told.values()) == pytest.approx(3.0)


def test_a_promise_of_twice_the_time_is_off_by_all_of_it() -> None:
    told = found([outcome(n, 3.0) for n in range(110)])["estimates"]
    assert told["median_error"] == told["median_bias"] == pytest.approx(1.0)


def test_classes_that_differ_by_their_steps_alone_are_told_once() -> None:
    told = found([outcome(n, 3.0) for n in range(110)])["by"]
    assert told.keys() == {"class"}
    assert told["class"].keys() == {"short", "long"}


def test_a_line_tells_how_far_a_run_is() -> None:
    run = Run(Service(NOWHERE), "played", MIX, PLAN)
    run.outcomes = [outcome(n, 1.5) for n in range(5)]
    run.done.update({"": 3, GAVE_UP: 1})
    run.recent.extend([1.0, 2.0])
    told = line(run, PLAN)
    assert "1 under way  4 done  1 failed  median 1.50 s" in told


def test_a_run_in_which_nothing_came_is_reported_as_well() -> None:
    for outcomes in ([], [outcome(20, None, "not connected")]):
        told = found(outcomes)
        assert told["response_s"]["p50"] is None
        assert "Errors by code" in page(told)
