"""One trace from the caller's over HTTP and Redis to the picture, and logs that name it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.timeline import PHASES
from tests.address import free_port
from tests.collector import Collector
from tests.service import lines, process
from tests.waiting import until

TRACE_ID, CALLER_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = {"prompt": "red apple of a secret wish", "steps": 2}


@pytest.fixture
def api_log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def api(worked_redis: str, collector: Collector, api_log: Path) -> Iterator[httpx.Client]:
    """Of a process that is traced as the worker is."""
    port = free_port()
    environment = {"REDIS_URL": worked_redis} | collector.environment
    with (
        process(["api", "--port", str(port)], environment, api_log),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client,
    ):
        until(lambda: _is_ready(client))
        yield client


def _is_ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/readyz").json()["workers"])
    except httpx.TransportError:
        return False


def named(log: Path, job_id: str, logger: str) -> dict[str, Any]:
    """The line in which a logger tells of the job."""
    return until(
        lambda: next(
            (
                line
                for line in lines(log)
                if (line.get("job_id"), line["logger"]) == (job_id, logger)
            ),
            None,
        )
    )


def test_one_trace_leads_from_the_caller_to_the_picture(
    api: httpx.Client, collector: Collector, api_log: Path, worker_log: Path
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01", "Prefer": "wait=30"}
    job = api.post("/generate", json=BODY, headers=headers).json()
    assert job["state"] == "succeeded"
    request = collector.span("POST /generate", darkroom__job__id=job["id"])
    assert (request.trace_id, request.parent_id) == (TRACE_ID, CALLER_ID)
    made = collector.span("job", darkroom__job__id=job["id"])
    assert (made.trace_id, made.parent_id) == (TRACE_ID, request.span_id)
    assert (request.service, made.service) == ("darkroom-api", "darkroom-worker")
    assert request.began_ns <= made.began_ns
    phases = until(lambda: (found := collector.children(made))[len(PHASES) - 1 :] and found)
    assert {phase.name for phase in phases} == set(PHASES)
    assert sum(phase.nanoseconds for phase in phases) == made.nanoseconds

    answered = named(api_log, job["id"], "app.witness")
    ended = named(worker_log, job["id"], "worker.job_ends")
    assert answered["trace_id"] == ended["trace_id"] == TRACE_ID
    assert (answered["status"], ended["outcome"]) == (200, "succeeded")
    assert ended["denoise_s"] <= ended["seconds"]
    said = api_log.read_text() + worker_log.read_text() + repr(collector.told)
    assert BODY["prompt"] not in said
