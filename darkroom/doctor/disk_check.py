"""Room on the disks of this machine that the service writes to."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from redis import Redis

from contract.settings import CommonSettings
from darkroom.doctor.finding import Finding, detail, fail, ok, warn
from darkroom.doctor.redis_check import configured

FULL_BYTES, LITTLE_BYTES = 200_000_000, 2_000_000_000


def check_disk(settings: CommonSettings, connection: Redis | None) -> Iterator[Finding]:
    parts = urlsplit(settings.pictures or "")
    if parts.scheme == "file":
        yield _room("the picture store", Path(unquote(parts.path)))
    if connection is not None and _is_here(settings.redis_url):
        folder = configured(connection, "dir")
        if folder and Path(folder).is_dir():
            yield _room("Redis", Path(folder))
        else:
            yield detail("Redis keeps its data where this process cannot look.")


def _is_here(redis_url: str) -> bool:
    parts = urlsplit(redis_url)
    here = {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    return parts.scheme == "unix" or parts.hostname in here


def _room(whose: str, folder: Path) -> Finding:
    """Of the nearest folder that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail(
            f"The disk of {whose}, at {folder}, cannot be looked at: {error.strerror}.",
            "Let the user that darkroom runs as read that folder.",
        )
    said = f"The disk of {whose}, at {folder}, has {free / 1e9:.1f} GB free"
    remedy = "Make room there, or keep less: DARKROOM_RESULT_TTL_S says for how long."
    if free < FULL_BYTES:
        return fail(f"{said}: what is written next may fail.", remedy)
    return warn(f"{said}.", remedy) if free < LITTLE_BYTES else ok(f"{said}.")
