"""A client for programs with threads."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar, Unpack

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


class Client:
    """A service, as whoever has `key` may use it. Threads may share one client.

    Every method raises `ClientError` in one of its forms (`darkroom.client.errors`).

    Args:
        url: where the service is.
        key: the API key, where the service needs one.
        timeout_s: how long an answer may take to begin or to go on, in seconds.
        retries: how often what got no answer, or one that says "not now", is sent again.
        transport: httpx's, for those who have one of their own.

    Raises:
        BadAddress: the URL or the key cannot be used.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ):
        self._retries = retries or Retries()
        self._http = httpx.Client(
            base_url=calls.usable_url(url),
            headers={**HEADERS, **calls.key_headers(key)},
            timeout=timeout_s,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def generate(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        fresh: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Job:
        """A new job, which waits, or has succeeded already where an equal one had.

        Args:
            idempotency_key: what makes two calls one; by default each call is one of its own,
                however often it has to be sent.
            fresh: whether the pictures are to be made although they are there already.
        """
        fields = {"prompt": prompt, **wishes}
        call = calls.ask(fields, idempotency_key, is_fresh=fresh)
        return self._run(plans.got(Job, call, self._retries))

    def job(self, job: Job | str) -> Job:
        """The job as it is now."""
        return self._run(plans.got(Job, calls.look(calls.id_of(job)), self._retries))

    def wait(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """The job once it has succeeded.

        Raises:
            JobFailed, JobCancelled: it has not.
            WaitTimeout: it has not ended in time. It goes on.
        """
        return self._run(plans.wait(calls.id_of(job), self._retries, timeout_s))

    def events(self, job: Job | str, *, last_event_id: str | None = None) -> Iterator[JobEvent]:
        """What happens to the job, from its first event or after the one with that id, until its
        end. Where the connection breaks it goes on, with nothing lost or doubled."""
        following = Following(calls.id_of(job), self._retries, last_event_id)
        while not following.is_done:
            call = following.next_call()
            time.sleep(call.after_s)
            try:
                with self._http.stream(**arguments(self._http, call)) as response:
                    if not response.is_success:
                        response.read()
                    if following.begin(reply_of(response)):
                        for chunk in response.iter_bytes():
                            yield from following.feed(chunk)
            except httpx.RequestError as error:
                following.lose(lost(self._http, error))

    def jobs(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Job]:
        """The jobs that are kept, newest first, fetched as they are taken."""
        listing = Listing(parameters(filters), limit, self._retries)
        while not listing.is_done:
            yield from self._run(listing.page())

    def cancel(self, job: Job | str) -> Job:
        """The job, now cancelled.

        Raises:
            WrongState: it has ended already.
        """
        return self._run(plans.cancel(calls.id_of(job), self._retries))

    def retry(
        self,
        job: Job | str,
        *,
        seed: Literal["same", "new"] | int = "same",
        idempotency_key: str | None = None,
        fresh: bool = False,
    ) -> Job:
        """The same again, as a new job."""
        call = calls.ask_again(calls.id_of(job), seed, idempotency_key, is_fresh=fresh)
        return self._run(plans.got(Job, call, self._retries))

    def delete(self, job: Job | str) -> None:
        """The job is gone, with its pictures; one that waits or runs is cancelled first."""
        self._run(plans.delete(calls.id_of(job), self._retries))

    def pictures(self, job: Job | str) -> list[bytes]:
        """The pictures, as files have them; waits for them where they are not there yet."""
        return self._run(plans.pictures(job, self._retries))

    def save(self, job: Job | str, output: str | Path) -> list[Path]:
        """Writes the pictures and returns their files: `output`, or for several pictures
        `output-0`, `output-1` and so on. Waits for them where they are not there yet.

        Raises:
            CannotSave: they cannot be written there, or are not what the file's name says.
        """
        files.require_writable([Path(output)])
        return files.save(Path(output), self.pictures(job))

    def models(self) -> tuple[Model, ...]:
        """What can be asked for."""
        return self._run(plans.got(Models, calls.get("/models"), self._retries)).models

    def workers(self) -> tuple[Worker, ...]:
        """Those that live."""
        return self._run(plans.got(Readiness, calls.get("/readyz"), self._retries)).workers

    def _run(self, plan: Plan[T]) -> T:
        try:
            call = next(plan)
            while True:
                call = plan.send(self._send(call))
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, call: Call) -> Reply | Lost:
        time.sleep(call.after_s)
        try:
            return reply_of(self._http.request(**arguments(self._http, call)))
        except httpx.RequestError as error:
            return lost(self._http, error)
