"""Answers a request from an equal job that has finished already."""

import logging

from app.services import Services
from contract import finished, holders, identity, reuse
from contract.acceptance import Terms
from contract.errors import RateLimited, StoreUnavailable
from contract.finished import ANYBODY, Finished
from contract.idempotency import Ticket
from contract.queue import model_queue
from contract.request import GenerateRequest, JobRequest
from contract.reuse import Answered
from contract.webhooks import aside

logger = logging.getLogger(__name__)


def finished_key(
    services: Services, request: JobRequest, model_fingerprint: str, owner: str
) -> str:
    """Where an equal job would stand that may answer this one."""
    scope = ANYBODY if services.settings.share_finished and owner else owner
    return finished.key_of(scope, request, model_fingerprint)


async def reused(
    services: Services,
    asked: GenerateRequest,
    request: JobRequest,
    content: str,
    terms: Terms,
    ticket: Ticket | None,
) -> Answered | None:
    """A new job that has succeeded at once; None where it cannot be made from what was found, or
    the ticket had made one already.

    Args:
        content: what stands under `finished_key`.

    Raises:
        RateLimited: the caller's key has used up what it may.
    """
    backend, settings = services.backend, services.settings
    found = finished.read(content)
    if found is None:
        return None
    job_id = identity.new_job_id()
    answered = None
    try:
        if await _hold(services, found, job_id):
            answered = await backend.call(
                lambda connection: reuse.answer(
                    model_queue(connection, request.model),
                    job_id,
                    request,
                    found,
                    settings.result_ttl_s,
                    ticket=ticket,
                    terms=terms,
                    meta=aside(asked),
                )
            )
    except RateLimited:
        await backend.call(holders.drop, found.result.digests, job_id)
        raise
    if answered is None:
        await backend.call(holders.drop, found.result.digests, job_id)
    return answered


async def _hold(services: Services, found: Finished, job_id: str) -> bool:
    """Whether the pictures are there, and stay as long as the job. A store that cannot say so is no
    reason to refuse the job: it is developed."""
    digests, ttl_s = found.result.digests, services.settings.result_ttl_s
    if not await services.backend.call(holders.hold, digests, job_id, ttl_s):
        return False
    try:
        return await services.gallery.keep(digests)
    except StoreUnavailable as error:
        logger.warning("a finished job cannot answer another: %s", error)
        return False
