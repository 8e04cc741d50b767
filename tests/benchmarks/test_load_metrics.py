"""Metrics as the load test reads them."""

import pytest
from load_test.metrics import Reading, together
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


def reading(registry: CollectorRegistry) -> Reading:
    return Reading.parse(generate_latest(registry).decode())


def test_a_reading_is_what_prometheus_clients_show() -> None:
    registry = CollectorRegistry()
    depth = Gauge("depth", "Jobs.", ["model", "priority"], registry=registry)
    depth.labels('odd "name", {x} \\ y', "high").set(2)
    depth.labels("plain", "high").set(3)
    depth.labels("plain", "low").set(1e-7)
    found = reading(registry)
    assert found.sum("depth", model="plain") == pytest.approx(3.0000001)
    assert found.by("depth", "priority") == {"high": 5.0, "low": 1e-7}


def test_between_two_readings_is_what_happened_in_between() -> None:
    registry = CollectorRegistry()
    steps = Histogram("step_seconds", "Steps.", buckets=(0.1, 1), registry=registry)
    jobs = Counter("jobs", "Jobs.", registry=registry)
    steps.observe(5.0)
    jobs.inc(7)
    before = reading(registry)
    for seconds in (0.1, 0.3):
        steps.observe(seconds)
    done = reading(registry).since(before)
    assert done.mean("step_seconds") == pytest.approx(0.2)
    assert done.by("step_seconds_bucket", "le") == {"0.1": 1.0, "1.0": 2.0, "+Inf": 2.0}
    assert done.sum("jobs_total") == 0
    assert done.since(done).mean("step_seconds") is None


def test_a_process_that_began_again_counts_from_0() -> None:
    before = Reading.parse("jobs_total 7.0\n")
    assert Reading.parse("jobs_total 2.0\n").since(before).sum("jobs_total") == 2


def test_workers_add_up() -> None:
    both = together([Reading.parse("a 1.0\nb 2.0\n"), Reading.parse("a 3.0\n")])
    assert (both.sum("a"), both.sum("b"), both.sum("c")) == (4, 2, 0)
