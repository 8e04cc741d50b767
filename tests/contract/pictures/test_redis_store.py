import pytest
import redis
from redis import Redis

from contract.connections import connect
from contract.errors import StoreUnavailable
from contract.pictures.redis_store import OtherRedisStore, RedisStore
from tests.contract.samples import TTL_S


def test_a_picture_expires(connection: Redis) -> None:
    RedisStore(connection, TTL_S).put(b"a")
    (key,) = connection.keys("*")
    assert 0 < connection.ttl(key) <= TTL_S


def test_the_pictures_of_a_job_expire_together(connection: Redis) -> None:
    store = RedisStore(connection, TTL_S)
    digest = store.put(b"a")
    (key,) = connection.keys("*")
    connection.expire(key, 5)
    store.renew([digest, "0" * 64])
    assert TTL_S - 5 < connection.ttl(key) <= TTL_S
    assert connection.keys("*") == [key]


def test_damaged_bytes_are_as_good_as_none(
    connection: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(connection, TTL_S)
    digest = store.put(b"a")
    (key,) = connection.keys("*")
    connection.set(key, b"b")
    assert store.get(digest) is None
    assert digest in caplog.text


def test_a_full_redis_of_its_own_is_a_store_that_is_unavailable(
    connection: Redis, redis_url: str
) -> None:
    store = OtherRedisStore(connect(redis_url, timeout_s=3.0), TTL_S)
    kept = store.put(b"a")
    connection.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            store.put(b"b")
        assert store.get(kept) == b"a"
        with pytest.raises(redis.OutOfMemoryError):
            RedisStore(connection, TTL_S).put(b"b")
    finally:
        connection.config_set("maxmemory", 0)
    assert store.get(store.put(b"b")) == b"b"
    store.close()


def test_a_redis_that_is_not_there_is_a_store_that_is_unavailable() -> None:
    store = OtherRedisStore(connect("redis://127.0.0.1:1/0", timeout_s=1.0), TTL_S)
    with pytest.raises(StoreUnavailable):
        store.put(b"a")
    with pytest.raises(StoreUnavailable):
        store.get("0" * 64)
    store.close()
