"""HTTP as uvicorn speaks it, with a bound on how long a request may be, and how late."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 32 * 1024
HEAD_S = 20.0
"""From a connection, or the first byte of a later request, until the head of the request is
there."""

MOST_BODY_BYTES = 2 * 1024 * 1024
"""As it is sent, with what is around its parts and behind them; a body that is too large has got
its answer long before."""

BODY_S = 30.0
"""From the head of a request until all of its body is there."""


def _refusal(status: str, text: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(text)}",
        "connection: close",
    )
    return "\r\n".join([*head, "", text]).encode()


TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The head of the request is too large.")
TOO_LATE = _refusal("408 Request Timeout", "The body of the request did not come in time.")


class HttpProtocol(HttpToolsProtocol):
    """Between two requests a connection is subject to uvicorn's own keep-alive."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._is_in_head, self._is_in_body = True, False
        self._bytes = 0  # of the head or the body, as far as it has come
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._bytes > MOST_HEAD_BYTES:
            self._hang_up(TOO_LARGE)
        elif self._is_in_body and self._bytes > MOST_BODY_BYTES:
            self._hang_up()
        elif self._late is None:
            self._watch()

    def on_message_begin(self) -> None:
        if not self._is_in_head:
            self._enter(is_in_head=True)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Not those behind a body, which must not pass for what stands before it."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._enter(is_in_body=True)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._enter()
        super().on_message_complete()

    def _enter(self, *, is_in_head: bool = False, is_in_body: bool = False) -> None:
        self._is_in_head, self._is_in_body = is_in_head, is_in_body
        self._bytes = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _watch(self) -> None:
        """Only what has not come at once: most requests do."""
        if self._is_in_head or self._is_in_body:
            seconds = HEAD_S if self._is_in_head else BODY_S
            self._late = self.loop.call_later(seconds, self._be_late)

    def _be_late(self) -> None:
        if self.pipeline:  # nothing is read before what came earlier has been answered
            self._watch()
        elif self._is_in_body and not self.cycle.response_started:
            self._hang_up(TOO_LATE)
        else:
            self._hang_up()

    def _hang_up(self, word: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.transport.write(word)
            self.transport.close()
