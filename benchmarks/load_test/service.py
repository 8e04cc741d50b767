"""The service under load, on HTTP/1.1 connections that are kept: the one address, and no other.

A job's end is waited for by GET /jobs/{id}?wait=N. Its answer leaves when the job ends, so the
client's time is that of the end and not of the next look, as it would be by polling; and the POST
before it, which does not wait, shows how long acceptance took and what the service promised.
"""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

WAIT_S = 50  # of one GET: below what proxies usually allow a request
ANSWER_S = 30.0  # for an answer, on top of what it was asked to wait
KEEP_S = 60.0
LOOK_AGAIN_S = 0.05  # where the service answers before the end, as one that takes no `wait` does
PER_CLIENT = 50  # httpx looks through all connections of a client at each request
REFUSALS = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
FRESH = {"Cache-Control": "no-cache"}
"""A run again is to be work again, although its seeds are the same."""


class Fault(Exception):
    """What went wrong with a request, as a short code to count it by."""

    def __init__(self, code: str, status: int = 0, retry_after_s: float = 0.0):
        super().__init__(code)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s  # as the service asked for it

    @property
    def is_refusal(self) -> bool:
        """Whether the service said: not now."""
        return self.status in REFUSALS


@dataclass(frozen=True, slots=True)
class Job:
    """Of a job's document what is looked at here. Times are of the service's clocks, in seconds
    since the epoch."""

    id: str
    state: str
    created: float
    started: float | None
    ended: float | None
    estimated_s: float | None
    timings: Mapping[str, float]  # by phase; those that are known
    pictures: Mapping[str, int]  # bytes by link
    error: str | None
    cached: bool

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        timings = (told["timings"] or {}).items()
        return cls(
            id=told["id"],
            state=told["state"],
            created=datetime.fromisoformat(told["created_at"]).timestamp(),
            started=_moment(told["started_at"]),
            ended=_moment(told["ended_at"]),
            estimated_s=told["estimated_s"],
            timings={
                sys.intern(name.removesuffix("_s")): s for name, s in timings if s is not None
            },
            pictures={image["url"]: image["bytes"] for image in told["images"]},
            error=told["error"]["code"] if told["error"] else None,
            cached=told["cached"],
        )

    @property
    def is_final(self) -> bool:
        return self.state not in ("queued", "running")


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


class Service:
    """Asks `url`, with as many connections as there are requests at a time."""

    def __init__(self, url: str, key: str | None = None):
        self._base = httpx.URL(url)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._verify = ssl.create_default_context()  # which takes its time, for each client else
        self._clients: list[httpx.AsyncClient] = []
        self._busy: list[int] = []  # requests of each client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients))

    async def post(self, body: Mapping[str, Any], wait_s: int = 0) -> Job:
        """The job, accepted; or ended, where that takes `wait_s` at most.

        Raises:
            Fault: it was not accepted, or nobody answered.
        """
        headers = FRESH | ({"Prefer": f"wait={wait_s}"} if wait_s else {})
        answer = await self._ask("POST", "/generate", wait_s, json=body, headers=headers)
        return _job(answer)

    async def end_of(self, job: Job) -> Job:
        """The job once it has ended, however long that takes."""
        while not job.is_final:
            asked = asyncio.get_running_loop().time()
            path = f"/jobs/{job.id}"
            job = _job(await self._ask("GET", path, WAIT_S, params={"wait": WAIT_S}))
            if not job.is_final and asyncio.get_running_loop().time() - asked < LOOK_AGAIN_S:
                await asyncio.sleep(LOOK_AGAIN_S)
        return job

    async def fetch(self, job: Job) -> int:
        """Gets the job's pictures, whole. Returns their bytes."""
        for link, size in job.pictures.items():
            answer = await self._ask("GET", link)
            if len(answer.content) != size:
                raise Fault("picture not whole")
        return sum(job.pictures.values())

    async def cancel(self, job_id: str) -> None:
        await self._ask("POST", f"/jobs/{job_id}/cancel")

    async def told(self, path: str) -> Any:
        """The JSON at `path`."""
        return (await self._ask("GET", path)).json()

    async def text(self, path: str) -> str:
        return (await self._ask("GET", path)).text

    async def _ask(
        self, method: str, link: str, wait_s: float = 0.0, **what: Any
    ) -> httpx.Response:
        url = self._own(link)
        try:
            async with self._line() as client:
                answer = await client.request(method, url, timeout=wait_s + ANSWER_S, **what)
        except httpx.TimeoutException:
            raise Fault("no answer in time") from None
        except httpx.ConnectError:
            raise Fault("not connected") from None
        except httpx.HTTPError:
            raise Fault("connection lost") from None
        if answer.is_success:
            return answer
        raise _fault(answer)

    def _own(self, link: str) -> httpx.URL:
        """A link of the service, whole. Raises Fault where it leads to another address."""
        try:
            url = self._base.join(link)
        except httpx.InvalidURL:
            raise Fault("link to nowhere") from None
        if (url.scheme, url.host, url.port) != (
            self._base.scheme,
            self._base.host,
            self._base.port,
        ):
            raise Fault("link to another host")
        return url

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with room for a request."""
        n = next((n for n, busy in enumerate(self._busy) if busy < PER_CLIENT), len(self._busy))
        if n == len(self._busy):
            self._clients.append(self._client())
            self._busy.append(0)
        self._busy[n] += 1
        try:
            yield self._clients[n]
        finally:
            self._busy[n] -= 1

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self._headers,
            verify=self._verify,
            limits=httpx.Limits(keepalive_expiry=KEEP_S),
            follow_redirects=False,
            trust_env=False,
        )


def _job(answer: httpx.Response) -> Job:
    try:
        return Job.of(answer.json())
    except (ValueError, KeyError, TypeError):
        raise Fault("answer is no job") from None


def _fault(answer: httpx.Response) -> Fault:
    try:
        code = f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        code = f"{answer.status_code}"
    wait = answer.headers.get("Retry-After", "")
    return Fault(code, answer.status_code, float(wait) if wait.isdecimal() else 0.0)
