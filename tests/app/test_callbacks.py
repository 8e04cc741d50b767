"""Webhooks and tags at POST /generate."""

from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue

from app.settings import AppSettings
from app.views import image_url, job_url
from contract.webhooks import webhook_queue
from tests.app.conftest import develop, serving
from tests.courier.samples import SECRETS

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/darkroom"


def with_secret(settings: AppSettings, **fields: Any) -> AppSettings:
    given = settings.model_dump() | {"webhook_secret": SECRETS[0]} | fields
    return AppSettings.model_validate(given)


async def post(settings: AppSettings, **fields: Any) -> httpx.Response:
    async with serving(settings) as client:
        return await client.post("/generate", json={"prompt": "a"} | fields)


async def test_the_end_of_a_job_waits_for_its_courier(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    response = await post(with_secret(settings), webhook=URL, tags={"order": "7"})
    job_id = response.json()["id"]
    assert response.status_code == 202
    held = develop(jobs)
    assert held is not None
    assert "webhook" not in held.job.kwargs["request"]
    (delivery,) = webhook_queue(connection).get_jobs()
    data = delivery.kwargs["event"]["data"]
    assert delivery.kwargs["url"] == URL
    assert data["links"]["self"] == job_url(job_id)
    assert data["images"][0]["url"] == image_url(job_id, 0)
    assert data["tags"] == {"order": "7"}


async def test_a_job_that_is_answered_at_once_tells_of_its_end(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    await post(settings, seed=5)
    develop(jobs)
    events = ["job.started", "job.succeeded"]
    response = await post(
        with_secret(settings), seed=5, webhook=URL, webhook_events=events, tags={"order": "7"}
    )
    job = response.json()
    assert (job["cached"], job["tags"]) == (True, {"order": "7"})
    told = [delivery.kwargs["event"] for delivery in webhook_queue(connection).get_jobs()]
    assert [event["type"] for event in told] == events
    assert told[1]["data"]["images"][0]["url"] == image_url(job["id"], 0)
    assert told[1]["data"]["tags"] == {"order": "7"}
    async with serving(settings) as client:
        assert (await client.get(job_url(job["id"]))).json()["tags"] == {"order": "7"}


async def test_a_retry_tells_whom_the_first_one_told(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    async with serving(with_secret(settings)) as client:
        asked = {"prompt": "a", "webhook": URL, "tags": {"order": "7"}}
        first = (await client.post("/generate", json=asked)).json()
        develop(jobs)
        again = (await client.post(first["links"]["retry"], json={"seed": "new"})).json()
    assert again["tags"] == {"order": "7"}
    develop(jobs)
    told = [delivery.kwargs for delivery in webhook_queue(connection).get_jobs()]
    assert [each["url"] for each in told] == [URL, URL]
    assert [each["event"]["data"]["id"] for each in told] == [first["id"], again["id"]]


async def test_tags_come_back_with_the_job_and_the_webhook_does_not(
    settings: AppSettings, model: str
) -> None:
    async with serving(with_secret(settings)) as client:
        asked = {"prompt": "a", "webhook": URL + "?key=1", "tags": {"größe": "7"}}
        accepted = await client.post("/generate", json=asked)
        polled = await client.get(accepted.headers["location"])
        assert accepted.json()["tags"] == polled.json()["tags"] == {"größe": "7"}
        assert "key=1" not in polled.text


async def test_without_a_secret_no_webhook_is_taken_but_tags_are(
    settings: AppSettings, model: str
) -> None:
    problem = (await post(settings, webhook=URL)).json()
    assert (problem["status"], problem["field"]) == (422, "webhook")
    assert "DARKROOM_WEBHOOK_SECRET" in problem["detail"]
    assert (await post(settings, tags={"a": "b"})).status_code == 202


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "a.localhost:8000",
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "10.0.0.1:6379",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "user@hooks.example.com",
        "%31%32%37.0.0.1",
    ],
)
async def test_what_is_plainly_not_public_is_refused_by_the_name_of_its_field(
    settings: AppSettings, model: str, host: str
) -> None:
    response = await post(with_secret(settings), webhook=f"http://{host}/latest")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["field"] == "webhook"


async def test_a_network_that_the_operator_names_is_open(settings: AppSettings, model: str) -> None:
    opened = with_secret(settings, webhook_networks=(ip_network("10.1.0.0/16"),))
    assert (await post(opened, webhook="http://10.1.2.3/")).status_code == 202
    assert (await post(opened, webhook="http://10.2.2.3/")).status_code == 422


async def test_hosts_beside_the_operators_list_are_refused_with_the_list(
    settings: AppSettings, model: str
) -> None:
    listed = with_secret(settings, webhook_hosts=("*.example.com",))
    assert (await post(listed, webhook=URL)).status_code == 202
    problem = (await post(listed, webhook="https://example.org")).json()
    assert (problem["field"], problem["allowed"]) == ("webhook", ["*.example.com"])


async def test_events_without_a_webhook_are_refused(settings: AppSettings, model: str) -> None:
    problem = (await post(settings, webhook_events=["job.failed"])).json()
    assert (problem["status"], problem["field"]) == (422, "webhook_events")


async def test_another_webhook_under_the_key_is_another_request(
    settings: AppSettings, model: str
) -> None:
    async with serving(with_secret(settings)) as client:
        answers = [
            await client.post(
                "/generate",
                json={"prompt": "a", "webhook": url},
                headers={"Idempotency-Key": "8e03978e"},
            )
            for url in (URL, URL, URL + "/other")
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 422]
        assert answers[2].json()["code"] == "idempotency_key_reused"
