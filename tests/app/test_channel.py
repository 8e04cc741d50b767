"""A channel of Redis, over an outage."""

from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from app.channel import RECONNECT_S, Channel
from tests.faults.servers import RedisServer

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0


async def test_an_outage_is_one_line_and_its_end_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.channel")
    heard: list[object] = []
    server = RedisServer(tmp_path)
    try:
        async with Channel(server.url, "news", heard.append).heard():
            await _until_heard(heard, 1)
            await to_thread.run_sync(server.stop)
            await anyio.sleep(3 * RECONNECT_S)
            assert _levels(caplog) == ["WARNING"]
            await to_thread.run_sync(server.start)
            await _until_heard(heard, 2)
    finally:
        server.stop()
    assert _levels(caplog) == ["WARNING", "INFO"]
    assert "Redis is lost, and news is not heard" in caplog.text
    assert "Redis is back, and news is heard again" in caplog.text


def _levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of the channel's own lines: threads of other tests may have some."""
    return [each.levelname for each in caplog.records if each.name == "app.channel"]


async def _until_heard(heard: list[object], times: int) -> None:
    with anyio.fail_after(LIMIT_S):
        while len(heard) < times:
            await anyio.sleep(0.02)
