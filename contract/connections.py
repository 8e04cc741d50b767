"""Connections to Redis, and what its failures mean."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import redis
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import ClusterDownError, ExecAbortError, NoPermissionError
from redis.retry import Retry

from contract.errors import BadSetting, QueueFull, RedisUnavailable, ServiceError

logger = logging.getLogger(__name__)

START_PATIENCE_S = 30.0
"""For the Redis of a service that starts as a whole, or of one whose Redis is being restarted."""

_BACKOFF = EqualJitterBackoff(cap=2.0, base=0.1)

_REFUSED = ("DB index is out of range", "DENIED")
"""What Redis answers to a client whom it will answer the same tomorrow."""

_EXEC_ABORTED = "Transaction discarded because of: "
"""What stands before the reason where Redis refuses only at EXEC what it took until then."""


def connect(url: str, *, timeout_s: float) -> redis.Redis:
    """A client that fails within `timeout_s` a call and never repeats one by itself: a command
    whose answer was lost may have been carried out. Who knows that a call is safe to repeat does
    so, with `pause_s` in between."""
    client = redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    pool = client.connection_pool
    pool.connection_class = _leaving_replicas(pool.connection_class)
    return client


def require_redis(client: redis.Redis, patience_s: float = 0.0) -> None:
    """For a process that has nothing to do without it.

    Args:
        patience_s: how long one that is being restarted, or loads what it holds, is waited for.

    Raises:
        BadSetting: no Redis answers, or one that does not let us in.
    """
    until = time.monotonic() + patience_s
    for failures in count(1):
        error = knock(client)
        if error is None:
            return
        if time.monotonic() >= until:
            raise BadSetting(
                f"REDIS_URL: no Redis answers there, so start one or name where it is: {error}"
            ) from error
        logger.warning("waiting for Redis: %s", error)
        time.sleep(pause_s(failures))


def look_for_redis(client: redis.Redis) -> None:
    """For a process that can wait for it: says where there is none.

    Raises:
        BadSetting: one answers that does not let us in.
    """
    error = knock(client)
    if error is not None:
        logger.warning(
            "REDIS_URL: no Redis answers there; until one does, nothing can be done: %s", error
        )


def knock(client: redis.Redis, setting: str = "REDIS_URL") -> redis.RedisError | None:
    """Why no Redis answers there, which may pass; None where one does.

    Args:
        setting: the one that says where it is.

    Raises:
        BadSetting: one answers that does not let us in.
    """
    try:
        client.ping()
    except redis.AuthenticationError as error:
        raise BadSetting(
            f"{setting}: Redis wants another password or user, as in "
            f"redis://USER:PASSWORD@HOST:6379/0: {error}"
        ) from error
    except redis.RedisError as error:
        if isinstance(error, NoPermissionError) or str(error).startswith(_REFUSED):
            raise BadSetting(
                f"{setting}: Redis refuses it; name a database that it has, as in "
                f"redis://USER:PASSWORD@HOST:6379/0, and a user who may do all: {error}"
            ) from error
        return error
    return None


def _leaving_replicas(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Connections that are made anew once a read-only replica has answered: after a failover the
    address may lead elsewhere, while those that stand still lead to the old primary."""

    def read_response(self: AbstractConnection, *args: Any, **kwargs: Any) -> Any:
        try:
            return kind.read_response(self, *args, **kwargs)
        except redis.ReadOnlyError:
            self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise
        except ExecAbortError as error:
            if _refusal(error).startswith("READONLY"):
                self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise

    return type(kind.__name__, (kind,), {"read_response": read_response})


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row, from 0.1 s on to at most 2 s. A part of it
    is chance, so that those who met one outage do not all come back at one moment."""
    return _BACKOFF.compute(failures)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the failures of Redis that a caller must know of into errors of ours."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RedisUnavailable("Redis cannot be reached.") from error
    except ClusterDownError as error:
        raise RedisUnavailable("Redis cannot be written to.") from error
    except redis.ResponseError as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error


def _known(error: redis.ResponseError) -> ServiceError | None:
    refusal = _refusal(error)
    if isinstance(error, redis.OutOfMemoryError) or refusal.startswith("OOM"):
        return QueueFull("Redis is out of memory; no new work is taken for now.")
    if isinstance(error, redis.ReadOnlyError) or refusal.startswith("READONLY"):
        return RedisUnavailable("Redis cannot be written to.")
    if refusal.startswith(("BUSY ", "TRYAGAIN")):
        return RedisUnavailable("Redis is busy with somebody's script.")
    # Its disk is full or failing, or too few replicas take part.
    if refusal.startswith(("MISCONF", "NOREPLICAS")):
        return RedisUnavailable("Redis cannot keep what is written to it.")
    return None


def _refusal(error: redis.ResponseError) -> str:
    return str(error).removeprefix(_EXEC_ABORTED)
