"""Clients that want their pictures whatever happens: they ask again with the same key."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any
from uuid import uuid4

import httpx

PAUSE_S = 0.2
WAIT_S = 30
IMPATIENT_S = 0.02
"""One request in five is given up at once and sent again, as over a bad line."""


@dataclass(slots=True)
class Answer:
    """What became of one request."""

    asked: dict[str, Any]
    job_ids: set[str] = field(default_factory=set)  # one, or the key has made several jobs
    state: str = "unanswered"
    error: str = ""
    pictures: list[bytes] = field(default_factory=list)  # PNGs


class Clients:
    """So many at a time, each with one request under way."""

    def __init__(self, url: str, bodies: Sequence[dict[str, Any]], count: int):
        self.answers = [Answer(body) for body in bodies]
        self._url = url
        self._open: SimpleQueue[int] = SimpleQueue()
        for number in range(len(bodies)):
            self._open.put(number)
        self._stopped = Event()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="client")
        self._running = [self._pool.submit(self._work) for _ in range(count)]
        self.done = 0

    def is_done(self) -> bool:
        return self.done == len(self.answers)

    def stop(self) -> None:
        """Gives up what is still open, and raises what a client stumbled over."""
        self._stopped.set()
        self._pool.shutdown()
        for each in self._running:
            each.result()

    def _work(self) -> None:
        with httpx.Client(base_url=self._url, timeout=WAIT_S + 10) as http:
            while not self._stopped.is_set():
                try:
                    number = self._open.get_nowait()
                except Empty:
                    return
                self._ask(http, self.answers[number], is_impatient=number % 5 == 0)
                with self._lock:
                    self.done += 1

    def _ask(self, http: httpx.Client, answer: Answer, is_impatient: bool) -> None:
        headers = {
            "Idempotency-Key": str(uuid4()),
            "Prefer": f"wait={WAIT_S}",
            "Cache-Control": "no-cache",  # equal requests are to be work, each of them
        }
        patience = {"timeout": IMPATIENT_S} if is_impatient else {}
        while not self._stopped.is_set():
            try:
                response = http.post("/generate", json=answer.asked, headers=headers, **patience)
                if response.status_code == 200:
                    job = response.json()
                    answer.job_ids.add(job["id"])
                    answer.state, answer.error = job["state"], json.dumps(job["error"])
                    answer.pictures = [_fetch(http, image["url"]) for image in job["images"]]
                    return
                if response.status_code == 202:
                    answer.job_ids.add(response.json()["id"])
                elif response.status_code not in (429, 503):
                    answer.state, answer.error = "refused", response.text
                    return
            except httpx.HTTPError:
                pass
            patience = {}
            self._stopped.wait(PAUSE_S)


def _fetch(http: httpx.Client, url: str) -> bytes:
    response = http.get(url)
    response.raise_for_status()
    return response.content
