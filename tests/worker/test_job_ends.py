"""What is told of a job's end: a line of the log, and spans."""

import logging
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from contract import endings, identity, queue
from contract.job import JobState
from contract.origin import Origin
from contract.spans import Spans
from contract.timeline import PHASES
from tests.collector import ERROR, Collector, Told
from tests.contract.samples import job_request
from tests.waiting import job_in, until
from tests.worker.conftest import running
from worker.batch_worker import BatchWorker
from worker.job_ends import JobEnds

CONSUMER = 5  # a span's kind
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
PROMPT = "a secret wish"

Traced = Callable[..., BatchWorker]
"""Makes a worker that tells of its jobs."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with Collector() as collector:
        yield collector


@pytest.fixture
def make_traced(
    make_worker: Callable[..., BatchWorker], collector: Collector
) -> Iterator[Callable[..., BatchWorker]]:
    spans = Spans("darkroom-worker", f"{collector.url}/v1/traces")
    yield lambda **options: make_worker(JobEnds(spans, **options))
    spans.close()


@pytest.fixture
def ask(jobs: Queue) -> Callable[..., str]:
    """Puts a job into the queue that is part of a trace."""

    def enqueue(**fields: object) -> str:
        job_id = identity.new_job_id()
        received = identity.created_at(job_id)
        assert received is not None
        origin = Origin(received - 0.25, TRACEPARENT)
        request = job_request(**{"prompt": PROMPT, "steps": 8, "sampler": "euler"} | fields)
        queue.enqueue(jobs, job_id, request, ttl_s=600, origin=origin)
        return job_id

    return enqueue


def line(caplog: pytest.LogCaptureFixture, job_id: str) -> dict[str, Any]:
    """The only one of the job's end."""
    told = [each.args for each in caplog.records if each.name == "worker.job_ends"]
    (found,) = [each for each in told if isinstance(each, dict) and each["job_id"] == job_id]
    return found


def span(collector: Collector, job_id: str) -> Told:
    return collector.span("job", darkroom__job__id=job_id)


def test_a_picture_is_a_span_of_its_callers_trace_and_its_phases_fill_it(
    make_traced: Traced,
    ask: Callable[..., str],
    connection: Redis,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with running(make_traced()):
        job_id = ask()
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
        told = span(collector, job_id)
        phases = until(lambda: (found := collector.children(told))[len(PHASES) - 1 :] and found)
    assert (told.service, told.kind, told.status) == ("darkroom-worker", CONSUMER, 0)
    assert (told.trace_id, told.parent_id) == (TRACE_ID, PARENT_ID)
    assert sorted(phase.name for phase in phases) == sorted(PHASES)
    ordered = sorted(phases, key=lambda phase: PHASES.index(phase.name))
    edges = [ordered[0].began_ns, *(phase.ended_ns for phase in ordered)]
    assert edges == [told.began_ns, *(phase.began_ns for phase in ordered[1:]), told.ended_ns]
    assert sum(phase.nanoseconds for phase in ordered) == told.nanoseconds
    assert ordered[0].nanoseconds == pytest.approx(250e6, abs=1e6)
    written = line(caplog, job_id)
    assert (written["trace_id"], written["outcome"]) == (TRACE_ID, "succeeded")
    assert written["seconds"] == pytest.approx(told.nanoseconds / 1e9, abs=1e-5)
    assert (
        0 < written["device_s"] == pytest.approx(told.attributes["darkroom.device_seconds"], 0.01)
    )
    assert told.attributes["darkroom.sampler"] == "euler"
    assert told.attributes["darkroom.steps"] == 8
    assert PROMPT not in repr(collector.told) + caplog.text


def test_prompts_are_told_where_that_is_switched_on(
    make_traced: Traced,
    ask: Callable[..., str],
    connection: Redis,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with running(make_traced(with_prompts=True)):
        job_id = ask()
        job_in(connection, job_id)
        assert span(collector, job_id).attributes["darkroom.prompt"] == PROMPT
    assert line(caplog, job_id)["prompt"] == PROMPT


def test_a_failure_is_told_with_its_code_and_a_malformed_job_without_its_prompt(
    make_traced: Traced,
    jobs: Queue,
    ask: Callable[..., str],
    connection: Redis,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = ask()
    (job,) = jobs.get_jobs()
    asked = job.kwargs["request"] | {"of_the_future": PROMPT}
    words = queue.TASK, None, (), job.kwargs | {"request": asked}
    connection.hset(job.key, "data", zlib.compress(JSONSerializer.dumps(words)))
    with running(make_traced()):
        told = span(collector, job_id)
    assert told.status == ERROR
    assert told.attributes["error.type"] == "malformed_job"
    assert told.trace_id == TRACE_ID
    assert line(caplog, job_id)["code"] == "malformed_job"
    assert PROMPT not in repr(collector.told) + caplog.text


def test_a_job_that_is_cancelled_under_way_is_told_as_that(
    make_traced: Traced,
    ask: Callable[..., str],
    connection: Redis,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with running(make_traced()):
        job_id = ask(steps=150)
        job_in(connection, job_id, JobState.RUNNING)
        endings.cancel(connection, job_id)
        told = span(collector, job_id)
    assert (told.status, told.attributes["error.type"]) == (ERROR, "cancelled")
    assert {phase.name for phase in collector.children(told)} <= {"accept", "queue"}
    assert line(caplog, job_id)["outcome"] == "cancelled"


def test_a_job_that_another_worker_ends_has_one_span_in_the_same_trace(
    make_traced: Traced, ask: Callable[..., str], connection: Redis, collector: Collector
) -> None:
    with running(make_traced()):
        job_id = ask(steps=150)
        job_in(connection, job_id, JobState.RUNNING)
    with running(make_traced()):
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
        told = span(collector, job_id)
    assert told.trace_id == TRACE_ID
    assert told.attributes["darkroom.job.attempt"] == 2
