"""The app behind a real server."""

import socket
from collections.abc import Iterator
from threading import Thread

import httpx
import pytest
import uvicorn

from app.main import create_app, serve
from app.settings import AppSettings
from contract.errors import BadSetting
from contract.settings import load_settings
from tests.waiting import until


@pytest.fixture
def url(settings: AppSettings) -> Iterator[str]:
    """The address of an app that is served by a thread."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
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
