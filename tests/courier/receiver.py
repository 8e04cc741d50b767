"""A caller's server on this machine, which is told of jobs."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread
from typing import Any

from standardwebhooks import Webhook

LIMIT_S = 30.0


@dataclass
class Received:
    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes

    def verified(self, secret: str) -> Any:
        """The body, once it is certain that it was signed with the secret."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers with what `answers` holds next, and with 204 when that is used up."""

    url: str = ""
    answers: SimpleQueue[tuple[int, dict[str, str]]] = field(default_factory=SimpleQueue)
    received: SimpleQueue[Received] = field(default_factory=SimpleQueue)

    def answer(self, status: int, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.put((status, named))

    def next(self) -> Received:
        return self.received.get(timeout=LIMIT_S)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            receiver.received.put(Received(self.path, headers, body))
            no_more = receiver.answers.empty()
            status, extra = (204, {}) if no_more else receiver.answers.get()
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook?key=1"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
