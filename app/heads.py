"""HEAD, of whatever can be asked for with GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKED_METHOD = "darkroom.asked_method"
"""Where the scope of a GET says that it was something else."""


class HeadAsGet:
    """ASGI middleware: inside it is a GET, of whose answer the head is sent. There the answer ends
    too, or a stream of events would go on for nobody."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})

        # Only a GET can ask for a range.
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        inner = {**scope, "method": "GET", "headers": headers, ASKED_METHOD: "HEAD"}
        await self._app(inner, receive, send_head)
