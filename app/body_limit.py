"""Refuses bodies that are too large, whether or not they say how large they are."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import answer, problem_of
from contract.errors import BodyTooLarge

MOST_BYTES = 64 * 1024


class BodyLimit:
    """ASGI middleware: 413 for more than MOST_BYTES."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MOST_BYTES:
            await self._refuse(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"].state.metrics.failed(BodyTooLarge.code)
        error = BodyTooLarge(f"The body must be at most {MOST_BYTES} bytes.")
        await answer(problem_of(error), {"Connection": "close"})(scope, receive, send)


async def _read(receive: Receive) -> list[Message] | None:
    """The messages of the body, or None where they are too much."""
    messages: list[Message] = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    async def next_message() -> Message:
        return messages.pop(0) if messages else await receive()

    return next_message
