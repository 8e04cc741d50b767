"""The app behind a real server."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from rq import Queue

from app.main import ApiServer, listen, serve
from app.settings import AppSettings
from contract import queue
from contract.errors import BadSetting
from contract.settings import load_settings
from tests.waiting import until


def test_a_picture_is_asked_for_over_http(url: str, model: str) -> None:
    response = httpx.post(f"{url}/generate", json={"prompt": "a red circle"})
    assert response.status_code == 202
    assert httpx.get(f"{url}{response.headers['location']}").json() == response.json()


@pytest.mark.parametrize("headers", [{"Prefer": "wait=20"}, {"Accept": "image/png"}], ids=str)
def test_who_waits_when_the_server_stops_is_told_of_the_job(
    server: ApiServer, url: str, jobs: Queue, headers: dict[str, str]
) -> None:
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(
            httpx.post, f"{url}/generate", json={"prompt": "a"}, headers=headers, timeout=15
        )
        until(lambda: queue.depth(jobs), 10.0)
        server.should_exit = True
        response = answer.result(10)  # the wait itself would take 20
    assert (response.status_code, response.json()["state"]) == (202, "queued")
    assert response.headers["location"] == f"/jobs/{response.json()['id']}"


def test_a_port_that_is_taken_is_one_sentence(settings: AppSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = settings.model_copy(update={"port": holder.getsockname()[1]})
        with pytest.raises(BadSetting, match="DARKROOM_PORT"):
            serve(taken)


def test_the_body_of_an_answer_does_not_wait_for_an_acknowledgement(settings: AppSettings) -> None:
    with listen(settings.model_copy(update={"port": 0})) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_wrong_setting_is_named_as_the_environment_spells_it() -> None:
    with pytest.raises(BadSetting, match="DARKROOM_PORT"):
        load_settings(AppSettings, port=70_000)
    with pytest.raises(BadSetting, match="DARKROOM_MAX_QUEUE"):
        load_settings(AppSettings, max_queue=0)
    with pytest.raises(BadSetting, match="REDIS_URL"):
        load_settings(AppSettings, redis_url="http://127.0.0.1")


@pytest.mark.parametrize("option", ["protocol=3", "db=1&decode_responses=yes"])
@pytest.mark.parametrize(("name", "said"), [("redis_url", "REDIS_URL"), ("pictures", "PICTURES")])
def test_an_option_that_changes_what_redis_answers_is_refused(
    name: str, said: str, option: str
) -> None:
    with pytest.raises(BadSetting, match=f"{said}: must not change the form of answers"):
        load_settings(AppSettings, **{name: f"redis://127.0.0.1?{option}"})
    assert load_settings(AppSettings, redis_url="redis://127.0.0.1?protocol=2").redis_url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "darkroom.example"])
def test_no_other_address_is_listened_on_unless_somebody_says_who_may_ask(
    settings: AppSettings, host: str
) -> None:
    with pytest.raises(BadSetting, match="DARKROOM_KEYS"):
        serve(settings.model_copy(update={"host": host}))
    for keys in ("required", "off"):
        settings.model_copy(update={"host": host, "keys": keys}).require_keys_or_loopback()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_everybody_may_ask(settings: AppSettings, host: str) -> None:
    settings.model_copy(update={"host": host}).require_keys_or_loopback()
    assert not settings.needs_keys
