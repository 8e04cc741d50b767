"""Refuses bodies that are too large, whether or not they say how large they are."""

from dataclasses import dataclass

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.errors import BodyTooLarge

MOST_BYTES = 64 * 1024
MOST_DRAINED = 1024 * 1024  # bytes of a body in all
DRAIN_S = 2.0


class BodyLimit:
    """ASGI middleware: to read more than MOST_BYTES of a body raises BodyTooLarge."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            body = _Body(_declared(scope), receive, send)
            receive, send = body.receive, body.send
        await self._app(scope, receive, send)


def _declared(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


@dataclass(slots=True)
class _Body:
    """The body of one request on its way in, and the answer on its way out."""

    declared: int  # bytes
    source: Receive
    target: Send
    read: int = 0  # bytes
    is_refused: bool = False
    is_over: bool = False

    async def receive(self) -> Message:
        if self.declared <= MOST_BYTES:  # else it said so itself, and is not waited for
            message = await self._read()
            if self.read <= MOST_BYTES:
                return message
        self.is_refused = True
        raise BodyTooLarge(f"The body must be at most {MOST_BYTES} bytes.")

    async def send(self, message: Message) -> None:
        """To close on a client that still sends resets its connection, which may cost it the
        answer. So the whole answer goes out, then the rest of the body is read, then it closes."""
        is_last = message["type"] == "http.response.body" and not message.get("more_body")
        if is_last and self.is_refused:
            await self.target({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body"}
        await self.target(message)

    async def _drain(self) -> None:
        with anyio.move_on_after(DRAIN_S):
            while not self.is_over and self.read < MOST_DRAINED:
                await self._read()

    async def _read(self) -> Message:
        message = await self.source()
        self.read += len(message.get("body", b""))
        self.is_over = not message.get("more_body")  # as in a disconnect
        return message
