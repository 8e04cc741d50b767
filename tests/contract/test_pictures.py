import hashlib

from redis import Redis

from contract.pictures import PictureStore


def test_picture_is_found_by_its_digest_and_expires(connection: Redis) -> None:
    store = PictureStore(connection, ttl_s=600)
    digest = store.put(b"\x89PNG")
    assert digest == hashlib.sha256(b"\x89PNG").hexdigest()
    assert store.get(digest) == b"\x89PNG"
    (key,) = connection.keys("*")
    assert 0 < connection.ttl(key) <= 600


def test_storing_twice_is_storing_once(connection: Redis) -> None:
    store = PictureStore(connection, ttl_s=600)
    assert store.put(b"a") == store.put(b"a")
    assert connection.dbsize() == 1


def test_unknown_digest_is_none(connection: Redis) -> None:
    assert PictureStore(connection, ttl_s=600).get("0" * 64) is None
