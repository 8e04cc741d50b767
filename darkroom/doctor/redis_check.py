"""The Redis that holds the queue: whether it keeps what it is given, and answers in time."""

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import redis
from redis import Redis
from redis.exceptions import NoPermissionError
from rq.utils import as_text

from contract.queue import LEAST_REDIS
from darkroom.doctor.finding import Finding, fail, ok, warn

PROBES = 20
SLOW_S = 0.005
FROZEN_S = 0.25  # a quarter of what the API waits for an answer
CLOCK_S = 1.0
CLOCK_LIMIT_S = 60.0
FULL, NEARLY_FULL = 0.95, 0.80
PROBE_KEY = "darkroom:doctor"

REFUSALS: Mapping[str, tuple[str, str]] = {
    "READONLY": (
        "Redis is a read-only replica, so no job can be accepted or taken.",
        "Let REDIS_URL name the primary, or an address that follows it.",
    ),
    "OOM": (
        "Redis is full, so no job is accepted.",
        "Raise its maxmemory; jobs and pictures are kept for DARKROOM_RESULT_TTL_S, which may be "
        "shortened.",
    ),
    "MISCONF": (
        "Redis refuses writes, as it cannot keep them on its disk.",
        "Make room on its disk, or mend it; its log says what failed.",
    ),
    "NOPERM": (
        "The user in REDIS_URL may not do what darkroom does.",
        "Let it run all commands on all keys and channels: `ACL SETUSER NAME ~* &* +@all`.",
    ),
    "DB index": (
        "REDIS_URL ends in the number of a database that Redis does not have.",
        "Let it end in /0, or raise `databases` in the configuration of Redis.",
    ),
    "NOREPLICAS": (
        "Redis refuses writes while too few replicas take part.",
        "Bring its replicas back, or lower its min-replicas-to-write.",
    ),
}

KINDS: Mapping[type[redis.RedisError], str] = {
    redis.OutOfMemoryError: "OOM",
    redis.ReadOnlyError: "READONLY",
    NoPermissionError: "NOPERM",
}
"""Those that redis-py knows, which leaves their first word away."""


def check_redis(connection: Redis) -> Iterator[Finding]:
    """
    Raises:
        RedisError: it is lost while it is looked at.
    """
    info: Mapping[str, Any] = connection.info()
    yield from _version(info)
    yield from _role(info)
    yield from _memory(info)
    yield from _persistence(info)
    if not _is_cluster(info):
        yield from _writes(connection)
    yield from _times(connection)


def refusal(error: redis.RedisError) -> Finding:
    """What it means that Redis answers, and does not do what is asked."""
    text = str(error).rstrip(".")
    for kind, prefix in KINDS.items():
        if isinstance(error, kind):
            return fail(*REFUSALS[prefix])
    known = next((prefix for prefix in REFUSALS if text.startswith(prefix)), None)
    if known is not None:
        return fail(*REFUSALS[known])
    return fail(f"Redis does not do what it is asked: {text}.", "Its log may have more.")


def _is_cluster(info: Mapping[str, Any]) -> bool:
    return "cluster" in (info.get("redis_mode"), info.get("server_mode"))  # the latter is Valkey's


def _version(info: Mapping[str, Any]) -> Iterator[Finding]:
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    said = str(info.get("valkey_version", info["redis_version"]))
    speaks = tuple(int(word) for word in str(info["redis_version"]).split(".")[:3])
    least = ".".join(str(number) for number in LEAST_REDIS)
    if speaks < LEAST_REDIS:
        yield fail(
            f"{name} is {said}, which lacks commands that darkroom uses.",
            f"Run Redis {least} or newer, or any Valkey.",
        )
    else:
        yield ok(f"{name} {said} answers; {least} is the least.")


def _role(info: Mapping[str, Any]) -> Iterator[Finding]:
    if _is_cluster(info):
        yield fail(
            "It is a node of a Redis Cluster, across whose nodes a transaction cannot reach.",
            "Use one Redis, with replicas if it is to be always there; large sites give each model "
            "one of its own.",
        )


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy, limit, used = info["maxmemory_policy"], info["maxmemory"], info["used_memory"]
    if policy != "noeviction":
        yield fail(
            f"maxmemory-policy is {policy}, so Redis drops jobs where it needs memory.",
            "Set `maxmemory-policy noeviction` in its configuration: then new work is refused, and "
            "nothing that was accepted is lost.",
        )
    if not limit:
        yield warn(
            f"Redis holds {_megabytes(used)} and has no maxmemory: it grows until the system ends "
            "it.",
            "Set `maxmemory` to what the machine can spare: new work is refused in time then.",
        )
        return
    share = used / limit
    said = f"Redis holds {_megabytes(used)} of {_megabytes(limit)} ({share:.0%})"
    remedy = "Raise maxmemory, shorten DARKROOM_RESULT_TTL_S, or keep pictures elsewhere by "
    if share > FULL:
        yield fail(f"{said}: new work is about to be refused.", f"{remedy}DARKROOM_PICTURES.")
    elif share > NEARLY_FULL:
        yield warn(f"{said}.", f"{remedy}DARKROOM_PICTURES.")
    else:
        yield ok(f"{said}, and evicts nothing." if policy == "noeviction" else f"{said}.")


def _persistence(info: Mapping[str, Any]) -> Iterator[Finding]:
    remedy = "Make room on its disk, or mend it; its log says what failed."
    if info["aof_enabled"]:
        if info["aof_last_write_status"] != "ok":
            yield fail("The last write to the AOF failed, so Redis refuses work.", remedy)
        elif info["aof_last_bgrewrite_status"] != "ok":
            yield warn("The last rewrite of the AOF failed, so it grows.", remedy)
        else:
            yield ok("The AOF is on, and its last write went well.")
        return
    yield fail(
        "The AOF is off: a restart of Redis loses jobs that were accepted.",
        "Set `appendonly yes` in its configuration; `redis-cli CONFIG SET appendonly yes` does it "
        "now.",
    )
    if info["rdb_last_bgsave_status"] != "ok":
        yield fail("The last snapshot of Redis failed, so it may refuse writes.", remedy)


def _writes(connection: Redis) -> Iterator[Finding]:
    try:
        connection.set(PROBE_KEY, 1, px=1000)
        connection.eval("return redis.call('DEL', KEYS[1])", 1, PROBE_KEY)
    except (redis.ConnectionError, redis.TimeoutError):
        raise
    except redis.RedisError as error:
        yield refusal(error)
    else:
        yield ok("It can be written to, and runs scripts.")


def _times(connection: Redis) -> Iterator[Finding]:
    taken, apart = [], []
    for _ in range(PROBES):
        began = time.time()
        seconds, microseconds = connection.time()
        ended = time.time()
        taken.append(ended - began)
        apart.append(seconds + microseconds / 1e6 - (began + ended) / 2)
    median_s = statistics.median(taken)
    said = f"A round trip takes {1000 * median_s:.2f} ms"
    remedy = "Bring it nearer to the API and the workers: a job is some ten round trips."
    if median_s > FROZEN_S:
        yield fail(f"{said}, and the API gives up after a second.", remedy)
    elif median_s > SLOW_S:
        yield warn(f"{said}.", remedy)
    else:
        yield ok(f"{said}.")
    yield from _clock(statistics.median(apart))


def _clock(apart_s: float) -> Iterator[Finding]:
    """Leases are in Redis' own time; a job's age and its deadline are in that of the machines."""
    said = f"This machine's clock and that of Redis are {abs(apart_s):.2f} s apart"
    remedy = "Set both by NTP: `timedatectl set-ntp true`."
    if abs(apart_s) > CLOCK_LIMIT_S:
        yield fail(f"{said}, so jobs may fail with deadline_exceeded.", remedy)
    elif abs(apart_s) > CLOCK_S:
        yield warn(f"{said}, so times and estimates are wrong by as much.", remedy)
    else:
        yield ok(f"{said}.")


def configured(connection: Redis, name: str) -> str | None:
    """A line of its configuration; None where it does not tell."""
    try:
        found = cast("dict[Any, Any]", connection.config_get(name))
    except redis.ResponseError:
        return None
    return next((as_text(value) for value in found.values()), None)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
