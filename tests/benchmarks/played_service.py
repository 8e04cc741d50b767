"""A small HTTP server that answers as the service does, and stalls, refuses or leads astray where a
test wants it to."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from contract.samplers import SAMPLERS

MODEL = {
    "id": "played",
    "width": 128,
    "height": 128,
    "min_side": 16,
    "max_side": 256,
    "side_multiple": 8,
    "default": True,
    "samplers": {
        **{name: {"max_steps": 150, "refusal": None} for name in SAMPLERS},
        "lcm": {"max_steps": 50, "refusal": None},
        "lms": {"max_steps": 150, "refusal": "it cannot"},
    },
}
PICTURE = b"a picture"


class PlayedService:
    """What it does can be changed while it runs."""

    def __init__(self) -> None:
        self.stall_at: int | None = None  # the number of the POST that holds up everything
        self.stall_s = 0.0
        self.stalled: tuple[float, float] | None = None  # by time.monotonic()
        self.refusals: dict[int, tuple[int, str, str]] = {}  # status, code, Retry-After, by POST
        self.picture_link = "/jobs/{id}/images/0"
        self.redirect = ""  # where a POST is sent instead
        self.ends = True
        self.is_darkroom = True
        self.waiting = 0  # how many wait for an end that does not come
        self.posts: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.others: list[str] = []  # paths that were asked beside
        self.url = ""
        self.lock = Lock()
        self.leaving = Event()

    def pause(self, seconds: float) -> None:
        """Ends early when the server is to stop."""
        self.leaving.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    service: PlayedService
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size) or b"{}")
        if self.path.endswith("/cancel"):
            self.service.cancelled.append(self.path.split("/")[2])
            return self._answer(200, {})
        with self.service.lock:  # one after the other, so that a stall holds up all
            n = len(self.service.posts)
            self.service.posts.append(body)
            if n == self.service.stall_at:
                began = time.monotonic()
                self.service.pause(self.service.stall_s)
                self.service.stalled = (began, time.monotonic())
        if self.service.redirect:
            return self._answer(307, {}, Location=self.service.redirect)
        if n in self.service.refusals:
            status, code, wait = self.service.refusals[n]
            return self._answer(status, {"code": code}, **{"Retry-After": wait})
        return self._answer(202, self._job(f"job-{n}", "queued"))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/models":
            return self._answer(200, {"models": [MODEL]} if self.service.is_darkroom else {})
        if path.endswith("/images/0"):
            return self._send(200, PICTURE)
        if path.startswith("/jobs/"):
            if not self.service.ends:
                with self.service.lock:
                    self.service.waiting += 1
                self.service.pause(60.0)
            return self._answer(200, self._job(path.split("/")[2], "succeeded"))
        self.service.others.append(path)
        return self._answer(404, {"code": "not_found"})

    def _job(self, job_id: str, state: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        has_ended = state == "succeeded"
        link = self.service.picture_link.format(id=job_id)
        return {
            "id": job_id,
            "state": state,
            "created_at": now,
            "started_at": now if has_ended else None,
            "ended_at": now if has_ended else None,
            "estimated_s": None if has_ended else 0.1,
            "timings": {"queue_s": 0.0, "total_s": 0.0} if has_ended else None,
            "images": [{"url": link, "bytes": len(PICTURE)}] if has_ended else [],
            "error": None,
            "cached": False,
        }

    def _answer(self, status: int, told: dict[str, Any], **headers: str) -> None:
        self._send(status, json.dumps(told).encode(), **headers)

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        with suppress(ConnectionError):  # who has given up is gone
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def played_service() -> Iterator[PlayedService]:
    service = PlayedService()
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True  # some of them wait for a job that never ends
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.leaving.set()
        server.shutdown()
        thread.join()
        server.server_close()
