"""Pictures in Redis, which lets them expire."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import redis
from redis import Redis

from contract.errors import StoreUnavailable
from contract.pictures.store import digest_of, verified


class RedisStore:
    """In the queue's own Redis, over a connection that is the caller's."""

    def __init__(self, connection: Redis, ttl_s: int):
        self._connection = connection
        self._ttl_s = ttl_s

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        self._connection.set(_key(digest), content, ex=self._ttl_s)
        return digest

    def renew(self, digests: Sequence[str]) -> None:
        self.keep(digests)

    def keep(self, digests: Sequence[str]) -> bool:
        with self._connection.pipeline(transaction=False) as pipeline:
            for digest in digests:
                pipeline.expire(_key(digest), self._ttl_s)
            return all(pipeline.execute())

    def delete(self, digests: Sequence[str]) -> None:
        if digests:
            self._connection.delete(*map(_key, digests))

    def get(self, digest: str) -> bytes | None:
        return verified(cast("bytes | None", self._connection.get(_key(digest))), digest)

    def sweep(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class OtherRedisStore(RedisStore):
    """In a Redis apart from the queue's, over a connection of its own."""

    def put(self, content: bytes) -> str:
        with _unavailable():
            return super().put(content)

    def keep(self, digests: Sequence[str]) -> bool:
        with _unavailable():
            return super().keep(digests)

    def delete(self, digests: Sequence[str]) -> None:
        with _unavailable():
            super().delete(digests)

    def get(self, digest: str) -> bytes | None:
        with _unavailable():
            return super().get(digest)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable("The Redis of the pictures is away or full.") from error


def _key(digest: str) -> str:
    return f"darkroom:picture:{digest}"
