"""What a picture store is, whatever it is made of."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Protocol

from contract.errors import StoreUnavailable

logger = logging.getLogger(__name__)


class PictureStore(Protocol):
    """Content-addressed, so that storing a picture twice is storing it once. Safe for several
    threads and processes.

    Whatever goes wrong raises StoreUnavailable. Only a store in the queue's own Redis fails as
    redis-py does, since an outage of that is an outage of everything.
    """

    def put(self, content: bytes) -> str:
        """Keeps the bytes for the store's TTL from now on and returns their SHA-256."""
        ...

    def renew(self, digests: Sequence[str]) -> None:
        """Begins the TTL of these anew, so that the pictures of a job expire together. Those that
        are gone are left out. S3 counts from the put alone."""
        ...

    def keep(self, digests: Sequence[str]) -> bool:
        """Begins the TTL of these anew, as `renew` does, and says whether all of them are here."""
        ...

    def delete(self, digests: Sequence[str]) -> None:
        """Removes these, as far as they are here."""
        ...

    def get(self, digest: str) -> bytes | None:
        """The bytes, whole; None where they have expired or are not what the digest says."""
        ...

    def sweep(self) -> None:
        """Removes what has outlived the TTL, where the store does not do so by itself. To be
        called now and then, by any number of processes."""
        ...

    def close(self) -> None: ...


def digest_of(content: bytes) -> str:
    """SHA-256 in hexadecimal: a picture's name in every store."""
    return hashlib.sha256(content).hexdigest()


def reason(error: StoreUnavailable) -> str:
    """The sentence and what is behind it, as one line for a log."""
    behind = str(error.__cause__ or "").partition("\n")[0]
    return f"{error} {behind}"


def verified(content: bytes | None, digest: str) -> bytes | None:
    """The bytes if they are what the digest says; anything else is as good as none."""
    if content is not None and digest_of(content) != digest:
        logger.error("picture %s is damaged in its store", digest)
        return None
    return content
