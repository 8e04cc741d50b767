"""A client for programs with coroutines."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar, Unpack

import anyio
import anyio.to_thread
import httpx

from darkroom.client import calls, files, plans
from darkroom.client.asking import TIMEOUT_S, URL, Filters, Wishes, parameters
from darkroom.client.calls import Call, Lost, Reply
from darkroom.client.events import JobEvent
from darkroom.client.fleet import Model, Models, Readiness, Worker
from darkroom.client.following import Following
from darkroom.client.jobs import Job
from darkroom.client.plans import Listing, Plan
from darkroom.client.retries import Retries
from darkroom.client.wire import HEADERS, arguments, lost, reply_of

T = TypeVar("T")


class AsyncClient:
    """`Client` once more; what stands there of each method and argument holds here."""

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(
            base_url=calls.usable_url(url),
            headers={**HEADERS, **calls.key_headers(key)},
            timeout=timeout_s,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def generate(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        fresh: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Job:
        fields = {"prompt": prompt, **wishes}
        call = calls.ask(fields, idempotency_key, is_fresh=fresh)
        return await self._run(plans.got(Job, call, self._retries))

    async def job(self, job: Job | str) -> Job:
        return await self._run(plans.got(Job, calls.look(calls.id_of(job)), self._retries))

    async def wait(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        return await self._run(plans.wait(calls.id_of(job), self._retries, timeout_s))

    async def events(
        self, job: Job | str, *, last_event_id: str | None = None
    ) -> AsyncIterator[JobEvent]:
        following = Following(calls.id_of(job), self._retries, last_event_id)
        while not following.is_done:
            call = following.next_call()
            await anyio.sleep(call.after_s)
            try:
                async with self._http.stream(**arguments(self._http, call)) as response:
                    if not response.is_success:
                        await response.aread()
                    if following.begin(reply_of(response)):
                        async for chunk in response.aiter_bytes():
                            for event in following.feed(chunk):
                                yield event
            except httpx.RequestError as error:
                following.lose(lost(self._http, error))

    async def jobs(
        self, *, limit: int | None = None, **filters: Unpack[Filters]
    ) -> AsyncIterator[Job]:
        listing = Listing(parameters(filters), limit, self._retries)
        while not listing.is_done:
            for job in await self._run(listing.page()):
                yield job

    async def cancel(self, job: Job | str) -> Job:
        return await self._run(plans.cancel(calls.id_of(job), self._retries))

    async def retry(
        self,
        job: Job | str,
        *,
        seed: Literal["same", "new"] | int = "same",
        idempotency_key: str | None = None,
        fresh: bool = False,
    ) -> Job:
        call = calls.ask_again(calls.id_of(job), seed, idempotency_key, is_fresh=fresh)
        return await self._run(plans.got(Job, call, self._retries))

    async def delete(self, job: Job | str) -> None:
        await self._run(plans.delete(calls.id_of(job), self._retries))

    async def pictures(self, job: Job | str) -> list[bytes]:
        return await self._run(plans.pictures(job, self._retries))

    async def save(self, job: Job | str, output: str | Path) -> list[Path]:
        path = Path(output)
        await anyio.to_thread.run_sync(files.require_writable, [path])
        contents = await self.pictures(job)
        return await anyio.to_thread.run_sync(files.save, path, contents)

    async def models(self) -> tuple[Model, ...]:
        found = await self._run(plans.got(Models, calls.get("/models"), self._retries))
        return found.models

    async def workers(self) -> tuple[Worker, ...]:
        found = await self._run(plans.got(Readiness, calls.get("/readyz"), self._retries))
        return found.workers

    async def _run(self, plan: Plan[T]) -> T:
        try:
            call = next(plan)
            while True:
                call = plan.send(await self._send(call))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, call: Call) -> Reply | Lost:
        await anyio.sleep(call.after_s)
        try:
            return reply_of(await self._http.request(**arguments(self._http, call)))
        except httpx.RequestError as error:
            return lost(self._http, error)
