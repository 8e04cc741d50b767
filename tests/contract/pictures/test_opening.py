import sys
from pathlib import Path

import pytest
from redis import Redis

from contract.errors import BadSetting
from contract.pictures.opening import open_store
from contract.pictures.redis_store import OtherRedisStore, RedisStore
from contract.settings import CommonSettings, load_settings


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/pictures",
        "file://srv/pictures",
        "file:///",
        "file:///srv/pictures?mode=ro",
        "s3://",
        "s3:///prefix",
        "gs://bucket",
        "http://127.0.0.1/pictures",
    ],
)
def test_a_url_of_no_store_stops_the_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_PICTURES", url)
    with pytest.raises(BadSetting, match=r"^DARKROOM_PICTURES: must be redis://"):
        load_settings(CommonSettings)


def test_the_queues_own_redis_is_the_default(connection: Redis, redis_url: str) -> None:
    for url in (None, redis_url):
        store = open_store(CommonSettings(redis_url=redis_url, pictures=url), connection)
        assert type(store) is RedisStore


def test_another_redis_has_a_connection_of_its_own(connection: Redis, redis_url: str) -> None:
    other = CommonSettings(redis_url=redis_url, pictures=redis_url.replace("/0", "/1"))
    store = open_store(other, connection)
    assert type(store) is OtherRedisStore
    store.put(b"a")
    assert connection.dbsize() == 0
    store.close()


def test_a_redis_url_that_is_none_is_named() -> None:
    with pytest.raises(BadSetting, match=r"^DARKROOM_PICTURES: must be as in redis://"):
        load_settings(CommonSettings, pictures="redis://127.0.0.1:many/0")


def test_a_folder_is_made_where_there_is_none(connection: Redis, tmp_path: Path) -> None:
    open_store(CommonSettings(pictures=f"file://{tmp_path}/a/b"), connection)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_named(connection: Redis, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = CommonSettings(pictures=f"file://{tmp_path}/file/pictures")
    with pytest.raises(BadSetting, match=r"^DARKROOM_PICTURES: no folder .*/file/pictures can be"):
        open_store(settings, connection)


def test_a_bucket_without_the_extra_is_named(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "contract.pictures.s3_store", raising=False)
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadSetting, match="extra `s3`"):
        open_store(CommonSettings(pictures="s3://bucket/prefix"), connection)
