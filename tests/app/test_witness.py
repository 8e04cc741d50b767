"""What is told of a request: a line of the log, and a span."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from app.settings import AppSettings
from contract.claims import take
from contract.keys import KeyLimits, add_key
from contract.origin import Origin
from tests.address import free_port
from tests.app.conftest import WORKER, develop, serving
from tests.collector import ERROR, Collector

pytestmark = pytest.mark.anyio

BODY = {"prompt": "a secret wish", "seed": 1}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_ID = "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01"}
SERVER = 2  # a span's kind


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with Collector() as collector:
        yield collector


@pytest.fixture
def traced(settings: AppSettings, collector: Collector) -> AppSettings:
    return settings.model_copy(update={"otlp_endpoint": collector.url})


@pytest.fixture
def logged(settings: AppSettings, caplog: pytest.LogCaptureFixture) -> AppSettings:
    caplog.set_level(logging.INFO, "app.witness")
    return settings.model_copy(update={"access_log": True})


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    told = [each.args for each in caplog.records if each.name == "app.witness"]
    return [each for each in told if isinstance(each, dict)]


async def test_a_line_names_the_job_and_whose_key_it_was_but_never_the_key(
    logged: AppSettings, connection: Redis, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(connection, "team-a", KeyLimits())
    guarded = logged.model_copy(update={"keys": "required"})
    async with serving(guarded) as client:
        bearer = {"Authorization": f"Bearer {key.text}"}
        job_id = (await client.post("/generate", json=BODY, headers=bearer)).json()["id"]
        await client.head(f"/jobs/{job_id}?wait=0", headers=bearer)
        await client.get(f"/v1/images/{job_id}/0?expires=1&signature=very-secret")
        await client.get("/nowhere%0A")
    accepted, polled, refused, lost = lines(caplog)
    assert accepted.pop("seconds") > 0
    assert accepted == {
        "method": "POST",
        "path": "/generate",
        "route": "/generate",
        "status": 202,
        "client": "127.0.0.1",
        "key": "team-a",
        "job_id": job_id,
    }
    assert (polled["method"], polled["route"]) == ("HEAD", "/jobs/{job_id}")
    assert (polled["job_id"], polled["path"]) == (job_id, f"/jobs/{job_id}")
    assert (refused["status"], refused["path"]) == (403, f"/v1/images/{job_id}/0")
    assert (lost["status"], lost["path"], lost["route"]) == (404, "/nowhere%0A", None)
    for secret in (key.text, "very-secret", BODY["prompt"]):
        assert str(secret) not in caplog.text


async def test_nothing_is_told_unless_it_is_wanted(
    settings: AppSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(settings) as client:
        await client.get("/models")
    assert lines(caplog) == []


async def test_a_request_that_fails_here_is_told_as_one(
    logged: AppSettings,
    traced: AppSettings,
    connection: Redis,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection.set("darkroom:models", "not a hash")
    both = logged.model_copy(update={"otlp_endpoint": collector.url})
    async with serving(both) as client:
        assert (await client.get("/models")).status_code == 500
    span = collector.span("GET /models")
    assert span.status == ERROR
    assert span.attributes["error.type"] == "500"
    (line,) = lines(caplog)
    assert (line["status"], line["trace_id"]) == (500, span.trace_id)


async def test_a_job_is_part_of_the_trace_that_its_caller_began(
    traced: AppSettings, jobs: Queue, collector: Collector
) -> None:
    async with serving(traced) as client:
        job_id = (await client.post("/generate", json=BODY, headers=PARENT)).json()["id"]
    span = collector.span("POST /generate")
    assert (span.service, span.kind) == ("darkroom-api", SERVER)
    assert (span.trace_id, span.parent_id) == (TRACE_ID, CALLER_ID)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/generate",
        "http.response.status_code": 202,
        "url.scheme": "http",
        "url.path": "/generate",
        "client.address": "127.0.0.1",
        "darkroom.job.id": job_id,
    }
    held = take(jobs, WORKER)
    assert held is not None
    origin = Origin.of(held.job.kwargs)
    assert origin.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
    assert origin.received is not None
    assert span.began_ns <= origin.received * 1e9 <= span.ended_ns


@pytest.mark.parametrize("path", ["/v1/images/generations", "/sdapi/v1/txt2img"])
async def test_the_jobs_of_other_apis_are_traced_as_well(
    traced: AppSettings, jobs: Queue, collector: Collector, path: str
) -> None:
    async with serving(traced) as client:
        asked = asyncio.create_task(client.post(path, json=BODY))
        while (held := develop(jobs)) is None:
            await asyncio.sleep(0)
        assert (await asked).status_code == 200
    told = collector.span(f"POST {path}", darkroom__job__id=held.job_id)
    assert Origin.of(held.job.kwargs).trace_id == told.trace_id


async def test_signatures_keys_and_prompts_are_in_no_trace_nor_are_health_checks(
    traced: AppSettings,
    connection: Redis,
    model: str,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    key = add_key(connection, "team-a", KeyLimits())
    async with serving(traced.model_copy(update={"keys": "required"})) as client:
        await client.get("/readyz")
        bearer = {"Authorization": f"Bearer {key.text}"}
        await client.post("/generate", json=BODY, headers=bearer)
        await client.post("/generate", json=BODY | {"steps": 0}, headers=bearer)
        await client.get("/v1/images/a/0?expires=1&signature=very-secret")
    assert {span.attributes["http.response.status_code"] for span in collector.told} == {
        202,
        403,
        422,
    }
    assert all("/readyz" not in span.name for span in collector.told)
    assert collector.spans("POST /generate", darkroom__key__name="team-a")
    for secret in (key.text, "very-secret", BODY["prompt"]):
        assert str(secret) not in repr(collector.told)


async def test_a_collector_that_is_away_changes_no_answer(
    settings: AppSettings, model: str, jobs: Queue
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    async with serving(settings.model_copy(update={"otlp_endpoint": away})) as client:
        for _ in range(5):
            assert (await client.post("/generate", json=BODY)).status_code == 202
    held = take(jobs, WORKER)
    assert held is not None
    assert Origin.of(held.job.kwargs).trace_id is not None
