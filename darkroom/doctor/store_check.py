"""The picture store: one picture is put, read and deleted."""

import secrets
from collections.abc import Iterator

import redis
from redis import Redis

from contract.errors import BadSetting, StoreUnavailable
from contract.pictures.opening import open_store
from contract.pictures.store import reason
from contract.settings import CommonSettings
from darkroom.doctor.finding import Finding, fail, ok
from darkroom.doctor.settings_check import shown

SETTING = "DARKROOM_PICTURES"


def check_store(settings: CommonSettings, connection: Redis) -> Iterator[Finding]:
    where = "in the queue's own Redis"
    if settings.pictures is not None:
        where = f"at {shown(SETTING, settings.pictures)}"
    try:
        store = open_store(settings, connection)
    except BadSetting as error:
        yield fail(
            f"{str(error).rstrip('.')}.", f"Set {SETTING} to a store that is there, or unset it."
        )
        return
    try:
        content = b"darkroom doctor " + secrets.token_bytes(16)
        digest = store.put(content)
        came_back = store.get(digest)
        store.delete([digest])
    except StoreUnavailable as error:
        yield fail(
            f"The picture store {where} cannot be used: {reason(error).rstrip('.')}.",
            f"Mend it, or let {SETTING} name another: see the README on where pictures are kept.",
        )
    except redis.RedisError as error:
        said = str(error).rstrip(".")
        yield fail(f"Pictures cannot be kept {where}: {said}.", "See what is said of Redis.")
    else:
        if came_back == content:
            yield ok(f"A picture was put, read and deleted {where}.")
        else:
            yield fail(
                f"What was put {where} did not come back as it was.",
                f"Look for what changes objects there, or let {SETTING} name another store.",
            )
    finally:
        store.close()
