"""The API as a process of its own: how it is set up for the outside."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from rq import Queue

from app import http_protocol
from app.main import create_app, listen
from app.security import HEADERS
from app.settings import AppSettings
from tests.address import free_port
from tests.faults.servers import ROOT
from tests.waiting import until

PROMPT_S = 3.0
GENERATE = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


class Api:
    def __init__(self, redis_url: str, log: Path, **settings: object):
        port = free_port()
        names = {f"DARKROOM_{name.upper()}": str(value) for name, value in settings.items()}
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "darkroom", "api", "--port", str(port)],
                env=os.environ | names | {"REDIS_URL": redis_url},
                cwd=ROOT,
                stderr=sink,
            )
        until(self._is_up)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of its log, which is of JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True)]

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.ConnectError:
            return False


@contextmanager
def api(redis_url: str, log: Path, **settings: object) -> Iterator[Api]:
    running = Api(redis_url, log, **settings)
    try:
        yield running
    finally:
        running.process.terminate()
        assert running.process.wait(20) == 0


@pytest.fixture(scope="module")
def guarded(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Behind a proxy on this machine."""
    log = tmp_path_factory.mktemp("api") / "log"
    with api(
        redis_url,
        log,
        trusted_proxies="127.0.0.0/8",
        access_log="true",
        log_format="json",
        hsts_s=60,
        max_connections=10,
    ) as running:
        yield running


def connect(url: str) -> socket.socket:
    address = httpx.URL(url)
    return socket.create_connection((address.host, address.port), timeout=10.0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/generate", 405),
        ("POST", "/generate", 422),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_answer_tells_browsers_to_be_careful(
    guarded: Api, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, guarded.url + path)
    assert answer.status_code == status
    assert HEADERS.items() <= {name: answer.headers.get(name) for name in HEADERS}.items()
    assert answer.headers["strict-transport-security"] == "max-age=60"
    assert "server" not in answer.headers


def test_a_believed_proxy_says_who_asks(guarded: Api) -> None:
    httpx.get(f"{guarded.url}/believed", headers=FORWARDED)
    line = until(lambda: [each for each in guarded.lines if each.get("path") == "/believed"])
    assert line[0]["client"] == "203.0.113.9"


def test_every_line_of_the_log_is_json_uvicorns_too(guarded: Api) -> None:
    assert {line["logger"] for line in guarded.lines} >= {"uvicorn.error", "app.witness"}
    assert all(line["level"] and line["time"] and line["message"] for line in guarded.lines)


def test_no_more_clients_are_connected_than_may_be(guarded: Api) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(connect(guarded.url))
        with connect(guarded.url) as late:
            late.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert late.recv(100).startswith(b"HTTP/1.1 503 ")
    until(lambda: httpx.get(f"{guarded.url}/healthz").status_code == 200)


@pytest.mark.parametrize("line", [b"X-Long: " + b"a" * 200_000, b"X: y\r\n" * 30_000])
def test_a_head_that_is_too_large_is_refused(guarded: Api, line: bytes) -> None:
    with connect(guarded.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        try:
            client.sendall(line)
            assert client.recv(100).startswith(b"HTTP/1.1 431 ")
        except ConnectionError:  # who sends on regardless may lose the answer
            pass
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200


def test_a_stop_ends_open_streams_at_once_and_nobody_is_believed_by_default(
    redis_url: str, jobs: Queue, tmp_path: Path
) -> None:
    with api(redis_url, tmp_path / "log", access_log="true") as running:
        httpx.get(f"{running.url}/healthz", headers=FORWARDED)
        job = httpx.post(f"{running.url}/generate", json={"prompt": "a"}).headers["location"]
        with httpx.stream("GET", f"{running.url}{job}/events", timeout=20.0) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("id:")
            running.process.send_signal(signal.SIGTERM)
            list(lines)  # to its end, which is one in order
        assert running.process.wait(PROMPT_S) == 0
        assert "203.0.113.9" not in running.log.read_text()


def test_a_head_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.1)
    with connect(request.getfixturevalue("url")) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 100", b""),
        (b"Content-Length: 100", b"{"),
        (b"Transfer-Encoding: chunked", b"1\r\n{\r\n"),
        (b"Transfer-Encoding: chunked", b"1\r\n{\r\n0\r\nX-Trailer: y\r\n"),
    ],
)
def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, url: str, framing: bytes, body: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "BODY_S", 0.1)
    with connect(url) as client:
        client.sendall(GENERATE + framing + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_body_without_an_end_is_not_read_on(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(http_protocol, "MOST_BODY_BYTES", 1000)
    with connect(url) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert client.recv(9) == b"HTTP/1.1 "
        with suppress(ConnectionError):  # closed while it sends
            client.sendall(b"X-Trailer: y\r\n" * 1000)
            list(iter(lambda: client.recv(1000), b""))


def test_what_stands_behind_a_body_is_no_header(url: str) -> None:
    chunks = b'e\r\n{"prompt":"a"}\r\n0\r\nIdempotency-Key: ' + b"a" * 300 + b"\r\n\r\n"
    framing = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(url) as client:
        client.sendall(GENERATE + framing + chunks)
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert b'"code":"no_model"' in answer


@pytest.mark.parametrize("path", ["/generate", "/v1/images/generations"])
def test_who_hangs_up_within_the_body_is_no_error(
    url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(url) as client:
        client.sendall(GENERATE.replace(b"/generate", path.encode()))
        client.sendall(b"Content-Length: 100\r\n\r\n{")
    seen = f'method="POST",route="{path}",status="499"}} 1.0'
    metrics = until(lambda: text if seen in (text := httpx.get(f"{url}/metrics").text) else None)
    errors = re.findall(r"darkroom_http_errors_total\{.*\} (.*)", metrics)
    assert set(errors) <= {"0.0"}
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_nobody_is_led_to_a_host_that_is_not_ours(url: str) -> None:
    answer = httpx.get(f"{url}/jobs/", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "elsewhere" not in str(answer.headers)


def test_small_answers_are_not_held_back(settings: AppSettings) -> None:
    """asyncio turns Nagle's algorithm off where the socket names its protocol."""
    with listen(settings.model_copy(update={"port": 0})) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.anyio
async def test_what_an_answer_says_itself_holds_and_failures_are_guarded_too(
    settings: AppSettings,
) -> None:
    app = create_app(settings)

    @app.get("/own")
    async def own() -> None:
        raise RuntimeError("nobody has thought of it")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://darkroom") as client:
        failed = await client.get("/own")
    assert failed.status_code == 500
    assert failed.headers["x-content-type-options"] == "nosniff"
