"""Clients that hang up: on the compatible routes that is how a job is cancelled."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress

import anyio
from fastapi import Request
from sse_starlette import ServerSentEvent
from starlette.types import Receive, Scope, Send

from app.access import Caller
from app.lookup import find_job
from app.routes.events import EventStream
from app.services import Services
from contract import endings
from contract.errors import JobEnded, JobNotFound, RedisUnavailable, ServiceError
from contract.job import JobRecord

LOOK_S = 60.0
CANCEL_ATTEMPTS, CANCEL_PAUSE_S = 20, 1.0

logger = logging.getLogger(__name__)


async def end_of(
    services: Services, caller: Caller, request: Request, record: JobRecord
) -> JobRecord | None:
    """The record of a job once it has ended, or as it is where this process stops before; None
    where the client hung up.

    Raises:
        JobExpired, JobDeleted, JobNotFound: it ended, and is gone already.
    """
    ended = asyncio.ensure_future(_end(services, caller, record))
    gone = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else None
    finally:
        ended.cancel()
        gone.cancel()


async def _end(services: Services, caller: Caller, record: JobRecord) -> JobRecord:
    while not record.state.is_final and not services.endings.is_leaving:
        record = await services.endings.wait(record, LOOK_S)
        if not record.state.is_final:
            with suppress(RedisUnavailable):
                record = await find_job(services, caller, record.id)
    return record


async def _hang_up(request: Request) -> None:
    """Comes once the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def cancel(services: Services, job_id: str) -> None:
    """Unless it has ended. Nobody waits for it here, so there is time for a Redis that is away to
    come back."""
    for _ in range(CANCEL_ATTEMPTS):
        try:
            with suppress(JobEnded, JobNotFound):
                await services.backend.call(endings.cancel, job_id)
                logger.info("job %s is cancelled: its client hung up", job_id)
            return
        except ServiceError:
            await asyncio.sleep(CANCEL_PAUSE_S)
    logger.warning("job %s goes on, although its client hung up", job_id)


class JobStream(EventStream):
    """Events of a job that is cancelled where its reader does not stay to the last of them.

    Args:
        job_id: None where the job goes on without a reader.
    """

    def __init__(
        self,
        services: Services,
        job_id: str | None,
        events: AsyncGenerator[ServerSentEvent, None],
        headers: Mapping[str, str],
    ):
        super().__init__(self._all(events), headers)
        self._services, self._job_id = services, job_id
        self._is_done = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._job_id is not None and not self._is_done:
                with anyio.CancelScope(shield=True):
                    await cancel(self._services, self._job_id)

    async def _all(
        self, events: AsyncGenerator[ServerSentEvent, None]
    ) -> AsyncIterator[ServerSentEvent]:
        async with aclosing(events):
            async for event in events:
                yield event
        self._is_done = True
