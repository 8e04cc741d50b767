"""Waits for a job as long as its client does, who keeps the connection open meanwhile."""

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus

from fastapi import HTTPException, Request

from app.access import Caller
from app.lookup import find_job
from app.services import Services
from contract import endings
from contract.errors import JobEnded, JobNotFound, RedisUnavailable
from contract.job import JobRecord

LOOK_S = 60.0
CANCEL_ATTEMPTS, CANCEL_PAUSE_S = 20, 1.0

logger = logging.getLogger(__name__)


async def attend(
    services: Services, caller: Caller, request: Request, record: JobRecord
) -> JobRecord | None:
    """The record of a job once it has ended; None where the client hung up before that, and the job
    is cancelled.

    Raises:
        HTTPException: this process stops; the job goes on.
        JobExpired, JobDeleted, JobNotFound: it ended, and is gone already.
    """
    ended = asyncio.ensure_future(_end(services, caller, record))
    hung_up = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait((ended, hung_up), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        await _cancel(services, record.id)
        return None
    finally:
        ended.cancel()
        hung_up.cancel()


async def _end(services: Services, caller: Caller, record: JobRecord) -> JobRecord:
    while not record.state.is_final:
        if services.endings.is_leaving:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"This server stops. Job {record.id} goes on, and a request with its seed "
                f"({record.request.seed}) is answered from it once it is done.",
                headers={"Retry-After": "2"},
            )
        record = await services.endings.wait(record, LOOK_S)
        if not record.state.is_final:
            with suppress(RedisUnavailable):
                record = await find_job(services, caller, record.id)
    return record


async def _hang_up(request: Request) -> None:
    """Comes to an end when the client does; the body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(services: Services, job_id: str) -> None:
    """Nobody waits for it here, so there is time for a Redis that is away to come back."""
    for _ in range(CANCEL_ATTEMPTS):
        try:
            with suppress(JobEnded, JobNotFound):
                await services.backend.call(endings.cancel, job_id)
            return
        except RedisUnavailable:
            await asyncio.sleep(CANCEL_PAUSE_S)
    logger.warning("job %s goes on, although its client hung up", job_id)
