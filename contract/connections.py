"""Connections to Redis, and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError
from redis.retry import Retry

from contract.errors import QueueFull, RedisUnavailable


def connect(url: str, *, timeout_s: float) -> redis.Redis:
    """A client that fails within `timeout_s` a call and never repeats one by itself: a command
    whose answer was lost may have been carried out."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turns the failures of Redis that a caller must know of into errors of ours."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RedisUnavailable("Redis cannot be reached.") from error
    except redis.OutOfMemoryError as error:
        raise QueueFull("Redis is out of memory; no new work is taken for now.") from error
    except (redis.ReadOnlyError, ClusterDownError) as error:
        raise RedisUnavailable("Redis cannot be written to.") from error
    except redis.ResponseError as error:
        # Its disk is full or failing, or too few replicas take part.
        if str(error).startswith(("MISCONF", "NOREPLICAS")):
            raise RedisUnavailable("Redis cannot keep what is written to it.") from error
        raise
