"""The page in a real Chromium, before a real API, Redis and worker with the starter checkpoint."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx
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

from app.main import ApiServer, create_app
from app.settings import AppSettings
from contract.connections import connect
from contract.workers import live_workers
from tests.address import free_port
from tests.waiting import until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_MS = 20_000
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
expect.set_options(timeout=LIMIT_MS)
AWAY = "net::ERR_"
"""How the browser notes that nobody answered, which no page can keep it from."""


@pytest.fixture(scope="module")
def redis(worked_redis: str) -> Iterator[Redis]:
    client = connect(worked_redis, timeout_s=3.0)
    until(lambda: live_workers(client))
    yield client
    client.close()


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


@contextmanager
def serving(settings: AppSettings) -> Iterator[Api]:
    api = Api(settings)
    api.start()
    yield api
    api.stop()


@pytest.fixture(scope="module")
def api(worked_redis: str, redis: Redis) -> Iterator[Api]:
    """Whatever others have asked for is deleted, so that the page begins with nothing."""
    with serving(AppSettings(redis_url=worked_redis)) as api:
        client = httpx.Client(base_url=api.url)
        while jobs := client.get("/jobs", params={"limit": 100}).json()["jobs"]:
            for job in jobs:
                client.delete(job["links"]["self"]).raise_for_status()
        client.close()
        yield api


@pytest.fixture(scope="module")
def locked_api(worked_redis: str, redis: Redis) -> Iterator[Api]:
    """Another API of the same service, which wants keys."""
    with serving(AppSettings(redis_url=worked_redis, keys="required")) as api:
        yield api


def chromium() -> str:
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.fail(
        "The page is tested in Chromium, and there is none: `apt-get install chromium`.",
        pytrace=False,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module and no longer: while Playwright is there, its event loop is in the way of any
    other test's."""
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
