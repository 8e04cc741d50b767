"""`darkroom keys`: who may ask."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from redis import Redis

from contract.connections import connect, require_redis
from contract.errors import BadKey
from contract.keys import ApiKey, KeyLimits, add_key, known_keys, revoke_key
from contract.settings import CommonSettings, load_settings
from darkroom.table import write_table

TIMEOUT_S = 5.0


def add(name: str, limits: Mapping[str, Any]) -> None:
    """Makes a key and shows it, this once.

    Raises:
        BadKey: the name or a limit is not one, or the name is taken.
    """
    try:
        asked = KeyLimits.model_validate(limits)
        ApiKey(id="", name=name, digest="", created_at=0.0, limits=asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadKey(f"{first['loc'][0]}: {first['msg']}.") from error
    with _redis() as connection:
        made = add_key(connection, name, asked)
    sys.stdout.write(f"{made.text}\n")
    sys.stderr.write(f"The key {made.key.id} of {name}. It is not shown again.\n")


def show() -> None:
    """Lists the keys, without their secrets, which nobody has but their owners."""
    with _redis() as connection:
        rows = [_row(key) for key in known_keys(connection).values()]
    limits = (name.upper() for name in KeyLimits.model_fields)
    write_table(("ID", "NAME", "CREATED", *limits), rows)


def revoke(named: str) -> None:
    """
    Raises:
        BadKey: there is no such key.
    """
    with _redis() as connection:
        gone = revoke_key(connection, named)
    sys.stdout.write(f"The key {gone.id} of {gone.name} is revoked.\n")


def _row(key: ApiKey) -> tuple[object, ...]:
    created = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (key.id, key.name, created, *key.limits.model_dump().values())


def _redis() -> Redis:
    """
    Raises:
        BadSetting: no Redis answers there.
    """
    connection = connect(load_settings(CommonSettings).redis_url, timeout_s=TIMEOUT_S)
    require_redis(connection)
    return connection
