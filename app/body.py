"""The bound on the size of a request's body, held before anything reads it."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import error_response
from contract.errors import BodyTooLarge

MOST_BYTES = 64 * 1024
DRAINED_BYTES = 1024 * 1024
DRAIN_S = 0.5


class BodyLimit:
    """Reads a body up to the bound and hands it on whole; a longer one is answered with 413.

    It counts what arrives, because a chunked body does not say how long it is.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(scope, receive)
        if body is None:
            refused = BodyTooLarge(f"The body is longer than {MOST_BYTES} bytes.")
            await error_response(scope, refused)(scope, receive, send)
            await _drain(receive)
            return
        await self._app(scope, _replay(body, receive), send)


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The body, or None where it is too long."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MOST_BYTES:
            return None
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


async def _drain(receive: Receive) -> None:
    """Reads on for a moment: a connection closed on unread bytes may lose the answer."""
    drained = 0
    with anyio.move_on_after(DRAIN_S):
        while drained < DRAINED_BYTES:
            message = await receive()
            drained += len(message.get("body", b""))
            if not message.get("more_body", False):
                return


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body in one piece, then whatever the server has to say."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
