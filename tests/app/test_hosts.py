"""What pages of the web may do by a browser that is inside the network."""

import httpx
import pytest

from app.settings import AppSettings
from tests.app.conftest import serving

pytestmark = pytest.mark.anyio

INSIDE = "/sdapi/v1/interrupt"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.168.1.20",
        "localhost:8000",
        "LOCALHOST",
        "a.localhost",
        "api:8000",
        "darkroom.example.com",
        "pictures.example.org.",
        "any.lan:8000",
    ],
)
async def test_without_keys_addresses_and_own_names_are_answered(
    settings: AppSettings, model: str, host: str
) -> None:
    public = {"public_url": "https://pictures.example.org"}
    own = settings.model_copy(update={"allowed_hosts": ("darkroom.example.com", "*.lan"), **public})
    async with serving(own) as client:
        assert (await client.get("/jobs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example:8000", "[::1"])
async def test_without_keys_a_name_that_may_be_anybodys_is_refused(
    client: httpx.AsyncClient, model: str, host: str
) -> None:
    headers = {"Host": host}
    for path in ("/jobs", "/v1/models", "/sdapi/v1/samplers"):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 421
        assert "DARKROOM_ALLOWED_HOSTS" in answer.text
    made = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert (made.status_code, made.json()["code"], made.json()["field"]) == (
        421,
        "host_refused",
        "Host",
    )
    assert (await client.get("/healthz", headers=headers)).status_code == 200


async def test_with_keys_any_name_does(settings: AppSettings) -> None:
    async with serving(settings.model_copy(update={"keys": "required"})) as client:
        answer = await client.get("/jobs", headers={"Host": "darkroom.example.com"})
        assert answer.status_code == 401


@pytest.mark.parametrize("keys", ["off", "required"])
async def test_a_page_of_another_site_can_change_nothing(settings: AppSettings, keys: str) -> None:
    async with serving(settings.model_copy(update={"keys": keys})) as client:
        headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
        for path in ("/generate", INSIDE, "/v1/images/generations"):
            answer = await client.post(path, headers=headers, content="{}")
            assert (answer.status_code, "cross_site" in answer.text) == (403, True)


async def test_where_the_browser_does_not_say_it_the_origin_does(client: httpx.AsyncClient) -> None:
    for origin, status in {
        "http://attacker.example": 403,
        "null": 403,
        "http://darkroom": 200,
    }.items():
        assert (await client.post(INSIDE, headers={"Origin": origin})).status_code == status


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
async def test_a_page_of_our_own_may_ask(client: httpx.AsyncClient, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": "http://other"}
    assert (await client.post(INSIDE, headers=headers)).status_code == 200
