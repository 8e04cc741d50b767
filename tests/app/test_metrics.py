import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract.identity import new_job_id

pytestmark = pytest.mark.anyio


async def figures(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Samples by their name and their labels' values, in the order of the labels' names."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


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
    requests = {key[1:]: value for key, value in found.items() if key[0].endswith("requests_total")}
    assert requests == {
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
    requests = {key[1:]: value for key, value in found.items() if key[0].endswith("requests_total")}
    assert requests == {("GET", "unknown", "404"): 5, ("other", "/healthz", "405"): 5}


async def test_errors_are_counted_by_code(client: httpx.AsyncClient, model: str) -> None:
    await client.post("/generate", json={})
    await client.post("/generate", json={"prompt": "a", "model": "large"})
    await client.get("/jobs/1")
    found = await figures(client)
    for code in ("invalid_request", "unknown_model", "job_not_found"):
        assert found["darkroom_http_errors_total", code] == 1


async def test_queue_and_workers_are_counted_by_model(
    client: httpx.AsyncClient, model: str
) -> None:
    before = await figures(client)
    assert before["darkroom_queue_depth", "tiny"] == 0
    assert before["darkroom_queue_oldest_wait_seconds", "tiny"] == 0
    for _ in range(3):
        await client.post("/generate", json={"prompt": "a"})
    after = await figures(client)
    assert after["darkroom_queue_depth", "tiny"] == 3
    assert after["darkroom_queue_oldest_wait_seconds", "tiny"] > 0
    assert after["darkroom_live_workers", "tiny"] == 1
    assert after["darkroom_jobs_accepted_total", "tiny"] == 3
    assert after["darkroom_redis_up",] == 1


async def test_an_unexpected_fault_is_counted(client: httpx.AsyncClient, connection: Redis) -> None:
    connection.set("darkroom:models", "not a hash")
    await client.get("/models")
    connection.delete("darkroom:models")
    found = await figures(client)
    assert found["darkroom_http_requests_total", "GET", "/models", "500"] == 1
    assert found["darkroom_http_errors_total", "internal_error"] == 1
