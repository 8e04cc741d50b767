"""What every picture store does, whatever it is made of."""

import hashlib

from contract.pictures.store import PictureStore

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000


def test_what_is_put_is_what_is_got(store: PictureStore) -> None:
    digest = store.put(PICTURE)
    assert digest == hashlib.sha256(PICTURE).hexdigest()
    assert store.get(digest) == PICTURE


def test_to_put_twice_is_to_put_once(store: PictureStore) -> None:
    assert store.put(b"a") == store.put(b"a")
    assert store.get(store.put(b"a")) == b"a"


def test_an_unknown_picture_is_none(store: PictureStore) -> None:
    store.put(b"a")
    assert store.get("0" * 64) is None


def test_a_sweep_leaves_what_is_young(store: PictureStore) -> None:
    digest = store.put(b"a")
    store.sweep()
    store.sweep()
    assert store.get(digest) == b"a"


def test_what_is_deleted_is_gone_and_may_come_again(store: PictureStore) -> None:
    first, other = store.put(PICTURE), store.put(b"a")
    assert store.keep([first, other])
    store.delete([first, "0" * 64])
    assert store.get(first) is None
    assert store.get(other) == b"a"
    assert not store.keep([first, other])
    assert store.keep([])
    store.delete([])
    assert store.get(store.put(PICTURE)) == PICTURE
