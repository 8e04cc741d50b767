"""HTTP as uvicorn speaks it, with a bound on how long a request's head may be, and how late."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 32 * 1024
HEAD_S = 20.0
"""From a connection, or the first byte of a later request, until the head of the request is
there."""

REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 37\r\nconnection: close\r\n\r\n"
    b"The head of the request is too large."
)


class HttpProtocol(HttpToolsProtocol):
    """Between two requests a connection is subject to uvicorn's own keep-alive."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._is_in_head = True
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.write(REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        self._begin_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._is_in_head = True
        if self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _end_head(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None
