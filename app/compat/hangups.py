"""Clients that hang up: on the compatible routes that is how a job is cancelled."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

import anyio
from fastapi import Request
from sse_starlette import ServerSentEvent
from starlette.types import Receive, Scope, Send

from app.routes.events import EventStream
from app.services import Services
from contract import endings
from contract.errors import JobEnded, JobNotFound, ServiceError
from contract.job import JobRecord

LONGEST_S = 7 * 24 * 3600.0  # any job has ended before

logger = logging.getLogger(__name__)


async def end_of(services: Services, request: Request, record: JobRecord) -> JobRecord | None:
    """The record of a job once it has ended, or as it is where this process stops before; None
    where the client hung up."""
    waiting = asyncio.ensure_future(services.endings.wait(record, LONGEST_S))
    gone = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()
        gone.cancel()


async def _hang_up(request: Request) -> None:
    """Comes once the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def cancel(services: Services, job_id: str) -> None:
    """As far as that is still possible."""
    try:
        await services.backend.call(endings.cancel, job_id)
    except (JobEnded, JobNotFound):
        return
    except ServiceError as error:
        logger.warning("job %s, whose client hung up, goes on: %s", job_id, error)
    else:
        logger.info("job %s is cancelled: its client hung up", job_id)


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
