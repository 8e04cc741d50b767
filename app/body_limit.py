"""Refuses bodies that are too large, whether or not they say how large they are."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.errors import BodyTooLarge

MOST_BYTES = 64 * 1024


class BodyLimit:
    """ASGI middleware: to read more than MOST_BYTES of a body raises BodyTooLarge."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limited = _limited(scope, receive) if scope["type"] == "http" else receive
        await self._app(scope, limited, send)


def _limited(scope: Scope, receive: Receive) -> Receive:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    too_large = declared.isdigit() and int(declared) > MOST_BYTES
    size = 0

    async def counted() -> Message:
        nonlocal size
        if too_large:  # said so itself: not a byte of it is read
            raise _error()
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise _error()
        return message

    return counted


def _error() -> BodyTooLarge:
    return BodyTooLarge(f"The body must be at most {MOST_BYTES} bytes.")
