import platform
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from starlette.types import Receive, Scope, Send

from app.metrics import AppMetrics, RequestMetrics
from app.problems import STATUS
from app.settings import AppSettings
from contract.identity import new_job_id
from contract.keys import KeyLimits, add_key
from contract.request import PRIORITIES
from contract.webhooks import webhook_queue
from contract.workers import announce, withdraw
from tests import metrics_page
from tests.app.conftest import develop, serving
from tests.contract.samples import model_card, worker_card

pytestmark = pytest.mark.anyio

ERRORS = "darkroom_http_errors_total"
REQUESTS = "darkroom_http_requests_total"


async def figures(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Samples by their name and their labels' values, in the order of the labels' names."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def requests_in(found: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """Those that have come, by method, route and status."""
    return {key[1:]: value for key, value in found.items() if key[0] == REQUESTS and value}


async def test_requests_are_counted_by_route_method_and_status(
    client: httpx.AsyncClient, model: str
) -> None:
    for _ in range(2):
        await client.post("/generate", json={"prompt": "a"})
    await client.post("/generate", json={})
    await client.post("/generate", content=b"a" * 70_000)
    await client.get(f"/jobs/{new_job_id()}")
    await client.get(f"/jobs/{new_job_id()}/images/0")
    found = await figures(client)
    assert requests_in(found) == {
        ("POST", "/generate", "202"): 2,
        ("POST", "/generate", "422"): 1,
        ("POST", "/generate", "413"): 1,
        ("GET", "/jobs/{job_id}", "404"): 1,
        ("GET", "/jobs/{job_id}/images/{n}", "404"): 1,
    }
    assert found["darkroom_http_request_seconds_count", "/generate"] == 4


async def test_labels_stay_few_whatever_is_asked(client: httpx.AsyncClient) -> None:
    for n in range(5):
        await client.get(f"/no/such/path/{n}")
        await client.request(f"METHOD{n}", "/healthz")
    found = await figures(client)
    assert requests_in(found) == {("GET", "unknown", "404"): 5, ("other", "/healthz", "405"): 5}


async def test_errors_are_counted_by_code(client: httpx.AsyncClient, model: str) -> None:
    await client.post("/generate", json={})
    await client.post("/generate", json={"prompt": "a", "model": "large"})
    await client.get("/jobs/1")
    found = await figures(client)
    for code in ("invalid_request", "unknown_model", "job_not_found"):
        assert found[ERRORS, code] == 1


async def test_each_code_is_counted_from_zero(client: httpx.AsyncClient) -> None:
    """Prometheus sees no increase in what begins with the first burst of it."""
    found = await figures(client)
    counted = {key[1]: value for key, value in found.items() if key[0] == ERRORS}
    assert counted == dict.fromkeys(STATUS, 0)


async def test_an_answer_that_breaks_off_is_counted_once(connection: Redis) -> None:
    async def break_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("cut off")

    metrics = AppMetrics(connection)
    transport = httpx.ASGITransport(RequestMetrics(break_off, metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(OSError, match="cut off"):
            await client.get("/")
    samples = [each for metric in metrics.registry.collect() for each in metric.samples]
    counted = {each.labels["status"]: each.value for each in samples if each.name == REQUESTS}
    assert counted == {"200": 1, "500": 0, "503": 0}  # faults from 0, as the codes


async def test_queue_and_workers_are_counted_by_model(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    before = await figures(client)
    for priority in PRIORITIES:
        assert before["darkroom_queue_depth", "tiny", priority] == 0
        assert before["darkroom_queue_oldest_wait_seconds", "tiny", priority] == 0
    for priority in ("high", "high", "low"):
        await client.post("/generate", json={"prompt": "a", "priority": priority, "steps": 10})
    after = await figures(client)
    assert [after["darkroom_queue_depth", "tiny", each] for each in PRIORITIES] == [2, 0, 1]
    assert after["darkroom_queue_oldest_wait_seconds", "tiny", "high"] > 0
    assert after["darkroom_queue_oldest_wait_seconds", "tiny", "normal"] == 0
    assert after["darkroom_live_workers", "tiny"] == 1
    assert after["darkroom_jobs_accepted_total", "tiny"] == 3
    assert after["darkroom_redis_up",] == 1
    used = connection.info("memory")["used_memory"]
    assert after["darkroom_redis_memory_bytes",] == pytest.approx(used, rel=0.5)
    assert after["darkroom_redis_memory_limit_bytes",] == 0


async def test_work_that_waits_is_told_in_seconds_of_one_worker(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    """By the last known speed where nobody lives, so that a service at rest can be woken."""
    for _ in range(2):
        await client.post("/generate", json={"prompt": "a", "steps": 30})
    name = "darkroom_queue_work_seconds", "tiny"
    assert (await figures(client))[name] == 120  # nobody has ever told a speed
    cards = [worker_card(f"gpu-{n}", row_steps_per_s=speed) for n, speed in enumerate((40.0, 20.0))]
    for card in cards:
        announce(connection, card, model_card())
    assert (await figures(client))[name] == 4
    for card in (worker_card("gpu-1"), *cards):
        withdraw(connection, card)
    found = await figures(client)
    assert (found["darkroom_live_workers", "tiny"], found[name]) == (0, 6)


async def test_webhooks_are_counted_until_they_are_delivered(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    aside = {"webhook": "https://example.com/", "webhook_events": ["job.succeeded"]}
    secret = SecretStr("whsec_" + "a" * 32)
    async with serving(settings.model_copy(update={"webhook_secret": secret})) as client:
        for _ in range(2):
            await client.post("/generate", json={"prompt": "a"} | aside)
            develop(jobs)
        assert (await figures(client))["darkroom_webhooks_waiting",] == 2
        waiting = webhook_queue(connection)
        later = Job.fetch(waiting.get_job_ids()[0], connection, waiting.serializer)
        waiting.remove(later)
        ScheduledJobRegistry(queue=waiting).schedule(later, datetime.now(UTC) + timedelta(hours=1))
        assert (await figures(client))["darkroom_webhooks_waiting",] == 2


async def test_the_page_of_metrics_is_what_there_is(
    settings: AppSettings, connection: Redis, model: str
) -> None:
    metrics = AppMetrics(connection)
    metrics.answered("/models", "GET", 200, 0.1)
    metrics.failed("no_model")
    metrics.accepted(model)
    metrics.reused(model)
    assert metrics_page.shown(metrics.registry) == metrics_page.written("The API")


async def test_the_build_is_told(settings: AppSettings) -> None:
    async with serving(settings.model_copy(update={"revision": "0123abc"})) as client:
        [build] = [key for key in await figures(client) if key[0] == "darkroom_build_info"]
        assert build[1:] == ("api", platform.python_version(), "0123abc", version("darkroom"))
        assert (await figures(client))["process_resident_memory_bytes",] > 0


async def test_whatever_is_asked_there_are_few_series_and_no_secret_in_them(
    settings: AppSettings, connection: Redis, model: str
) -> None:
    made = [add_key(connection, f"team-{n}", KeyLimits(priority="high")) for n in range(20)]
    count = 0
    async with serving(settings.model_copy(update={"keys": "required"})) as client:
        for key in made:
            client.headers["Authorization"] = f"Bearer {key.text}"
            await _ask_all_sorts(client, count)
            before, count = count, len(await figures(client))
        text = (await client.get("/metrics")).text
    assert count == before < 300
    ids = [key.removeprefix(b"rq:job:").decode() for key in connection.keys("rq:job:*")]
    assert len(ids) > len(made)
    for secret in ("private", *ids, *(key.text for key in made), *(key.key.id for key in made)):
        assert secret not in text


async def _ask_all_sorts(client: httpx.AsyncClient, n: int) -> None:
    """Other things for each `n`, as far as they may differ."""
    for sampler in ("euler", "lcm", "pndm", f"sampler-{n}"):
        body = {"prompt": f"private {n}", "sampler": sampler, "width": 32 + 16 * (n % 5)}
        accepted = await client.post("/generate", json=body | {"priority": PRIORITIES[n % 3]})
        job_id = accepted.json().get("id", f"private-{n}")
        for path in (job_id, f"{job_id}/images/{n}", f"{job_id}/private-{n}"):
            await client.get(f"/jobs/{path}")
        await client.delete(f"/jobs/{job_id}")
    for method in ("GET", "OPTIONS", f"PRIVATE{n}"):
        for path in (f"/private/{n}", "/models", f"/sdapi/v1/private{n}", f"/v1/private/{n}"):
            await client.request(method, path)
    await client.get("/healthz", headers={"Authorization": f"Bearer private-{n}"})
    await client.post("/generate", json={"prompt": "private", "model": f"private-{n}"})
    await client.post("/v1/images/generations", json={"prompt": "private", "model": f"p-{n}"})


async def test_an_unexpected_fault_is_counted(client: httpx.AsyncClient, connection: Redis) -> None:
    connection.set("darkroom:models", "not a hash")
    await client.get("/models")
    connection.delete("darkroom:models")
    found = await figures(client)
    assert found[REQUESTS, "GET", "/models", "500"] == 1
    assert found[ERRORS, "internal_error"] == 1
