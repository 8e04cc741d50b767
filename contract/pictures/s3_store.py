"""Pictures in a bucket of S3, or of whatever speaks its protocol."""

from collections.abc import Sequence
from datetime import timedelta

from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from contract.errors import StoreUnavailable
from contract.pictures.store import digest_of, verified

CONNECT_TIMEOUT_S, TIMEOUT_S = 2, 8
RETRIES = 1  # within one call; the worker has a longer patience of its own


class S3Store:
    """Endpoint, region and credentials come from the usual AWS_* variables, which obstore reads.

    S3 shows an object whole or not at all. What has outlived its TTL is removed by a lifecycle rule
    of the bucket: to list a large one costs money.
    """

    def __init__(self, bucket: str, prefix: str):
        self._bucket = Bucket(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": True,  # where the operator names such an endpoint
                "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
                "timeout": timedelta(seconds=TIMEOUT_S),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=TIMEOUT_S),
            },
        )

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        try:
            self._bucket.put(digest, content, use_multipart=False)
        except (BaseError, OSError, ValueError) as error:
            raise StoreUnavailable("The bucket of the pictures cannot be written to.") from error
        return digest

    def renew(self, digests: Sequence[str]) -> None:
        """Nothing to do: the bucket's rule counts from the put."""

    def keep(self, digests: Sequence[str]) -> bool:
        """Looks only."""
        try:
            for digest in digests:
                self._bucket.head(digest)
        except (BaseError, OSError, ValueError) as error:
            if _is_missing(error):
                return False
            raise StoreUnavailable("The bucket of the pictures cannot be read.") from error
        return True

    def delete(self, digests: Sequence[str]) -> None:
        try:
            for digest in digests:
                self._bucket.delete(digest)
        except (BaseError, OSError, ValueError) as error:
            if not _is_missing(error):
                raise StoreUnavailable(
                    "The bucket of the pictures cannot be written to."
                ) from error

    def get(self, digest: str) -> bytes | None:
        try:
            content = bytes(self._bucket.get(digest).bytes())
        except (BaseError, OSError, ValueError) as error:
            if _is_missing(error):
                return None
            raise StoreUnavailable("The bucket of the pictures cannot be read.") from error
        return verified(content, digest)

    def sweep(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def _is_missing(error: Exception) -> bool:
    """Whether it is the picture that is not there, and not its bucket."""
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)
