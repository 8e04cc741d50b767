"""Where pictures are kept: in Redis, by the digest of their bytes."""

import hashlib
from typing import cast

from redis import Redis


class PictureStore:
    """Content-addressed, so that storing a picture twice is storing it once."""

    def __init__(self, connection: Redis, ttl_s: int):
        self._connection = connection
        self._ttl_s = ttl_s

    def put(self, content: bytes) -> str:
        """Keeps the bytes for the store's TTL from now on and returns their SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        self._connection.set(self._key(digest), content, ex=self._ttl_s)
        return digest

    def get(self, digest: str) -> bytes | None:
        """The bytes, or None where they have expired."""
        return cast("bytes | None", self._connection.get(self._key(digest)))

    @staticmethod
    def _key(digest: str) -> str:
        return f"darkroom:picture:{digest}"
