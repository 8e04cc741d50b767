"""The API keys, as of a moment ago, so that a request costs no round trip for them."""

import time
from collections.abc import Mapping

import anyio

from app.backend import Backend
from contract.keys import ApiKey, find_key, known_keys

MAX_AGE_S = 2.0
"""A key that is revoked works for so long at most."""

LEAST_AGE_S = 0.2
"""A key that is not known may just have been added, so it is looked for again; no oftener than
this, whoever asks."""


class Keyring:
    def __init__(self, backend: Backend):
        self._backend = backend
        self._lock = anyio.Lock()
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at = float("-inf")

    async def find(self, text: str) -> ApiKey | None:
        """The key that this text is; None where it is none.

        Raises:
            RedisUnavailable: nobody knows.
        """
        found = find_key(await self._known(MAX_AGE_S), text)
        return found or find_key(await self._known(LEAST_AGE_S), text)

    async def _known(self, max_age_s: float) -> Mapping[str, ApiKey]:
        async with self._lock:
            if time.monotonic() - self._read_at > max_age_s:
                self._keys = await self._backend.call(known_keys)
                self._read_at = time.monotonic()
            return self._keys
