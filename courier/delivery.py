"""One attempt to deliver a webhook.

The name in the URL is resolved once, here; every address that it stands for is looked at, and the
connection is made to one of those very addresses. So a name that stands for something else a moment
later leads nowhere else. TLS still asks the receiver for a certificate of the name.
"""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from ipaddress import ip_address

import anyio
import anyio.to_thread
import httpx

from contract.destinations import Address, Destinations
from contract.webhooks import WebhookEvent
from courier.schedule import asked_pause_s
from courier.signature import sign

LIMIT_S = 15.0
"""For all of an attempt, whatever the receiver does."""
CONNECT_LIMIT_S = 5.0  # for one address of several
SLOW_DOWN = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses behind a host and a port."""


class Verdict(Enum):
    DELIVERED = auto()
    AGAIN = auto()  # it may be taken later
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one."""

    verdict: Verdict
    reason: str  # for a person; without the URL, which may hold secrets
    asked_s: float | None = None  # the pause that the receiver asks for


class Forbidden(Exception):
    """The webhook may not go there."""


def resolve(host: str, port: int) -> list[str]:
    """As the machine does it. Raises OSError where the name stands for nothing."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Delivery:
    """Makes attempts, one after another or in several threads at a time."""

    def __init__(
        self,
        keys: Sequence[bytes],
        destinations: Destinations,
        public_url: str = "",
        *,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ):
        """
        Args:
            keys: sign, the first one first.
            public_url: what links begin with.
            clock: Unix seconds.
            tls: what certificates are trusted; by default those of the machine.
        """
        self._keys = keys
        self._destinations = destinations
        self._public_url = public_url
        self._resolve = resolve
        self._clock = clock
        self._tls = tls or httpx.create_ssl_context()

    def attempt(self, message_id: str, url: str, event: WebhookEvent) -> Attempt:
        """Never raises for what the receiver or the network does."""
        return anyio.run(self._attempt, message_id, url, event)

    async def _attempt(self, message_id: str, url: str, event: WebhookEvent) -> Attempt:
        try:
            with anyio.fail_after(LIMIT_S):
                return await self._post(message_id, httpx.URL(url), event.body(self._public_url))
        except TimeoutError:
            return Attempt(Verdict.AGAIN, f"no answer within {LIMIT_S:.0f} s")
        except (Forbidden, httpx.InvalidURL) as error:
            return Attempt(Verdict.NEVER, str(error))
        except (httpx.HTTPError, OSError) as error:
            return Attempt(Verdict.AGAIN, f"{type(error).__name__}: {error}")

    async def _post(self, message_id: str, url: httpx.URL, body: bytes) -> Attempt:
        addresses = await self._addresses(url)
        timeout = httpx.Timeout(LIMIT_S, connect=CONNECT_LIMIT_S)
        # Nothing from the environment: a proxy would resolve the name again.
        async with httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            for n, address in enumerate(addresses, start=1):
                request = self._request(client, url, address, message_id, body)
                try:
                    response = await client.send(request, stream=True, follow_redirects=False)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if n == len(addresses):
                        raise
                else:
                    await response.aclose()  # what it says beside its status is not read
                    return self._judged(response)
        raise Forbidden("the host has no address")

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """All that the name stands for, where each of them may be connected to."""
        host = _host(url)
        if url.scheme not in ("http", "https") or not self._destinations.allows_host(host):
            raise Forbidden(f"{host} is none of the hosts that webhooks may go to")
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await anyio.to_thread.run_sync(self._resolve, host, port, abandon_on_cancel=True)
        addresses = [ip_address(text) for text in found]
        for address in addresses:
            if not self._destinations.allows_address(address):
                raise Forbidden(f"{host} is {address}, which is not a public address")
        return addresses

    def _request(
        self,
        client: httpx.AsyncClient,
        url: httpx.URL,
        address: Address,
        message_id: str,
        body: bytes,
    ) -> httpx.Request:
        timestamp = int(self._clock())
        return client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/json",
                "User-Agent": "darkroom",
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(self._keys, message_id, timestamp, body),
            },
            extensions={"sni_hostname": _host(url)},
        )

    def _judged(self, response: httpx.Response) -> Attempt:
        status = response.status_code
        reason = f"the receiver answered {status}"
        if response.is_success:
            return Attempt(Verdict.DELIVERED, reason)
        if status == httpx.codes.GONE:
            return Attempt(Verdict.NEVER, reason)
        asked_s = None
        if status in SLOW_DOWN:
            now = datetime.fromtimestamp(self._clock(), UTC)
            asked_s = asked_pause_s(response.headers.get("Retry-After"), now)
        return Attempt(Verdict.AGAIN, reason, asked_s)


def _host(url: httpx.URL) -> str:
    """In ASCII, as it stands in the URL: to decode an international name may change it."""
    return url.raw_host.decode("ascii")
