"""Bodies that are too large, from clients on real connections."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import body_limit
from app.body_limit import MOST_DRAINED
from app.main import ApiServer, create_app
from app.settings import AppSettings

ONE_READ = (256 + 64) * 1024  # the most that asyncio and uvicorn hand on at once
JSON = {"Content-Type": "application/json"}


class Meter:
    """ASGI middleware that notes the size of each part of a body that is read."""

    def __init__(self, app: ASGIApp, sizes: list[int]):
        self._app = app
        self._sizes = sizes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def metered() -> Message:
            message = await receive()
            self._sizes.append(len(message.get("body", b"")))
            return message

        await self._app(scope, metered, send)


@pytest.fixture
def sizes() -> list[int]:
    return []


@pytest.fixture
def server(settings: AppSettings, sizes: list[int]) -> ApiServer:
    app = create_app(settings)
    app.add_middleware(Meter, sizes=sizes)
    return ApiServer(app)


def body(size: int, is_chunked: bool) -> bytes | Iterator[bytes]:
    return (b"a" * 10_000 for _ in range(size // 10_000)) if is_chunked else b"a" * size


@pytest.mark.parametrize("size", [70_000, 1_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_however_it_is_sent(
    url: str, size: int, is_chunked: bool
) -> None:
    response = httpx.post(f"{url}/generate", content=body(size, is_chunked), headers=JSON)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_of_a_huge_body_only_a_bounded_part_is_read(
    url: str, sizes: list[int], is_chunked: bool
) -> None:
    with suppress(httpx.TransportError):  # who sends on regardless may lose the answer
        response = httpx.post(f"{url}/generate", content=body(20_000_000, is_chunked), headers=JSON)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert sum(sizes) <= MOST_DRAINED + ONE_READ
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_who_sends_on_after_the_answer_can_still_read_it(url: str) -> None:
    with connected(url) as client:
        client.sendall(head(200_000) + b"a" * 100_000)
        client.recv(1, socket.MSG_PEEK)  # it has been answered
        client.sendall(b"a" * 100_000)
        assert everything(client).startswith(b"HTTP/1.1 413 ")


def test_who_stops_sending_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "DRAIN_S", 0.05)
    with connected(url) as client:
        client.sendall(head(200_000) + b"a" * 100_000)
        assert everything(client).endswith(b"}")


def test_a_chunked_body_within_the_limit_is_taken(url: str, model: str) -> None:
    content = (part for part in (b'{"prompt": ', b'"a red circle"}'))
    response = httpx.post(f"{url}/generate", content=content, headers=JSON)
    assert response.status_code == 202


def connected(url: str) -> socket.socket:
    address = httpx.URL(url)
    return socket.create_connection((address.host, address.port), timeout=20.0)


def head(size: int) -> bytes:
    lines = "POST /generate HTTP/1.1", "Host: x", "Content-Type: application/json"
    return "\r\n".join([*lines, f"Content-Length: {size}", "\r\n"]).encode()


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes; a reset raises."""
    return b"".join(iter(lambda: client.recv(65536), b""))
