"""The app behind a real server."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import httpx
import pytest
from rq import Queue

from app.main import ApiServer, create_app, serve
from app.settings import AppSettings
from contract import queue
from contract.errors import BadSetting
from contract.settings import load_settings
from tests.waiting import until


@pytest.fixture
def server(settings: AppSettings) -> ApiServer:
    return ApiServer(create_app(settings))


@pytest.fixture
def url(server: ApiServer) -> Iterator[str]:
    """The address of the server, which runs in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, 20.0)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


def test_a_picture_is_asked_for_over_http(url: str, model: str) -> None:
    response = httpx.post(f"{url}/generate", json={"prompt": "a red circle"})
    assert response.status_code == 202
    assert httpx.get(f"{url}{response.headers['location']}").json() == response.json()


@pytest.mark.parametrize("size", [70_000, 20_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_however_it_is_sent(
    url: str, size: int, is_chunked: bool
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(size // 10_000):
            yield b"a" * 10_000

    content = chunks() if is_chunked else b"a" * size
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{url}/generate", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_a_chunked_body_within_the_limit_is_taken(url: str, model: str) -> None:
    headers = {"Content-Type": "application/json"}
    content = (part for part in (b'{"prompt": ', b'"a red circle"}'))
    response = httpx.post(f"{url}/generate", content=content, headers=headers)
    assert response.status_code == 202


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


def test_a_wrong_setting_is_named_as_the_environment_spells_it() -> None:
    with pytest.raises(BadSetting, match="DARKROOM_PORT"):
        load_settings(AppSettings, port=70_000)
    with pytest.raises(BadSetting, match="DARKROOM_MAX_QUEUE"):
        load_settings(AppSettings, max_queue=0)
    with pytest.raises(BadSetting, match="REDIS_URL"):
        load_settings(AppSettings, redis_url="http://127.0.0.1")
