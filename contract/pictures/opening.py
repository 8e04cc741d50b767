"""From a setting to a picture store."""

import os
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from redis import Redis

from contract.connections import connect, knock
from contract.errors import BadSetting
from contract.pictures.folder_store import FolderStore
from contract.pictures.redis_store import OtherRedisStore, RedisStore
from contract.pictures.store import PictureStore
from contract.settings import CommonSettings

TIMEOUT_S = 2.0
SETTING = "DARKROOM_PICTURES"


def open_store(settings: CommonSettings, connection: Redis) -> PictureStore:
    """The store that the settings name; `connection` is the one to the queue's Redis.

    Raises:
        BadSetting: there can be no such store here.
    """
    url = settings.pictures
    if url is None or url == settings.redis_url:
        return RedisStore(connection, settings.result_ttl_s)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _folder(Path(unquote(parts.path)), settings.result_ttl_s)
    if parts.scheme == "s3":
        return _bucket(parts)
    other = connect(url, timeout_s=TIMEOUT_S)
    knock(other, SETTING)  # one that is away may come back
    return OtherRedisStore(other, settings.result_ttl_s)


def _folder(root: Path, ttl_s: int) -> PictureStore:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(
            f"{SETTING}: no folder {root} can be made, so name one that this process may write to: "
            f"{error.strerror}"
        ) from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise BadSetting(
            f"{SETTING}: the user of this process may not write to {root}; let it, or name another "
            "folder."
        )
    return FolderStore(root, ttl_s)


def _bucket(parts: SplitResult) -> PictureStore:
    try:
        from contract.pictures.s3_store import S3Store
    except ModuleNotFoundError as error:
        raise BadSetting(
            f"{SETTING}: s3:// needs obstore, which is not installed; install darkroom with its "
            "extra `s3`."
        ) from error
    try:
        return S3Store(parts.netloc, unquote(parts.path).strip("/"))
    except Exception as error:  # obstore's own, of many kinds
        raise BadSetting(f"{SETTING}: {str(error).splitlines()[0]}") from error
