"""Who asks: every request but those for health comes with a key, where keys are required."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.hosts import require_own_host, require_own_page
from app.metrics import RECEIVED
from app.services import services_of
from app.under_way import traceparent
from contract.errors import CrossSite, HostRefused, NotAuthenticated
from contract.keys import NO_LIMITS, ApiKey, KeyLimits
from contract.origin import UNKNOWN, Origin

REFUSALS = (NotAuthenticated, CrossSite, HostRefused)
"""How any route that is not open to all may refuse whoever asks."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`key` is None where keys are off."""

    key: ApiKey | None = None
    origin: Origin = UNKNOWN  # of the jobs that the request makes

    @property
    def owner(self) -> str:
        """What stands with the caller's jobs; empty where keys are off."""
        return self.key.id if self.key is not None else ""

    @property
    def limits(self) -> KeyLimits:
        return self.key.limits if self.key is not None else NO_LIMITS


async def authenticate(request: Request) -> Caller:
    """
    Raises:
        NotAuthenticated: no key is named, or none that is known.
        CrossSite, HostRefused: a page of the web asks by a browser that is inside.
        RedisUnavailable: nobody knows the keys.
    """
    caller = await _authenticated(request)
    request.state.caller = caller
    return caller


def caller_of(request: Request) -> Caller:
    """Who was let in. For routes that are asked often: `Asker` takes longer than the answer."""
    caller: Caller = request.state.caller
    return caller


async def _authenticated(request: Request) -> Caller:
    services, origin = services_of(request), Origin(request.scope[RECEIVED], traceparent())
    needs_keys = services.settings.needs_keys
    require_own_page(request.method, request.headers, needs_keys=needs_keys)
    if not needs_keys:
        require_own_host(request.headers, services.settings)
        return Caller(origin=origin)
    candidates = read_authorization(request.headers.get("Authorization", ""))
    if not candidates:
        raise NotAuthenticated("Send an API key: `Authorization: Bearer KEY`.")
    for text in candidates:
        key = await services.keyring.find(text)
        if key is not None:
            return Caller(key, origin)
    raise NotAuthenticated("There is no such API key, or it was revoked.")


Asker = Annotated[Caller, Depends(authenticate)]


def read_authorization(value: str) -> list[str]:
    """What may be a key in the header: that of Bearer, or the password or the user of Basic. Empty
    where there is nothing, as in an empty header or a bare `Basic`: some clients send these when
    they have no key."""
    scheme, _, credentials = value.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return [credentials] if credentials else []
    if scheme.lower() != "basic":
        return []
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return []
    user, _, password = text.partition(":")
    return [each for each in (password, user) if each]
