"""POST /v1/images/generations: waits for the pictures, or shows them while they develop."""

import base64
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import JSONResponse

from app.access import Asker, Caller
from app.admission import Accepted
from app.compat.hangups import JobStream, end_of
from app.compat.openai.body import ImagesBody, in_their_words
from app.compat.openai.errors import REQUEST_ID, shown_errors
from app.compat.openai.events import image_events
from app.compat.openai.links import links
from app.compat.openai.models import model_named
from app.compat.openai.replies import (
    EVENTS_EXAMPLE,
    REPLY_EXAMPLE,
    ImageReply,
    ImagesReply,
    about,
    ended_at,
)
from app.compat.openai.results import require_pictures
from app.compat.openai.retries import Attempt, leave, let_go, retaken
from app.keys import read_key
from app.problems import CLIENT_GONE
from app.quotas import quota_headers
from app.responses import Responses, headers_asked
from app.routes.generate import PROBLEMS, REPLAYED, Manner, make_job, manner_of
from app.routes.pictures import picture_content
from app.services import Served, Services
from app.under_way import note_job
from contract import errors
from contract.errors import ServiceError
from contract.idempotency import Ticket
from contract.job import JobRecord
from contract.request import GenerateRequest

router = APIRouter(prefix="/v1/images", tags=["openai"])

HEADERS = headers_asked(
    (
        "idempotency-key",
        "As in POST /generate. The SDK sends none of its own; with one the job goes on when the "
        "client hangs up.",
        "",
    ),
    ("cache-control", "`no-cache`: not from what is finished, although the seed is the same.", ""),
)
ANSWERS: Responses = {
    200: {
        "description": "The pictures, or with `stream` their events.",
        "model": ImagesReply,
        "content": {
            "application/json": {"example": REPLY_EXAMPLE},
            "text/event-stream": {"schema": {"type": "string"}, "example": EVENTS_EXAMPLE},
        },
    },
}
BODY_EXAMPLES = {
    "plain": {"value": {"prompt": "red apple"}},
    "more": {
        "value": {
            "prompt": "red apple",
            "model": "starter",
            "n": 2,
            "size": "512x512",
            "quality": "medium",
            "output_format": "webp",
            "seed": 1,
        }
    },
}


@router.post(
    "/generations",
    response_model=ImagesReply,
    responses=ANSWERS | shown_errors(*PROBLEMS, errors.WaitInterrupted, errors.PictureExpired),
    openapi_extra=HEADERS,
    summary="Make pictures, as OpenAI's SDK asks for them",
)
async def generate_images(
    body: Annotated[ImagesBody, Body(openapi_examples=BODY_EXAMPLES)],
    request: Request,
    services: Served,
    caller: Asker,
) -> Response:
    """A client that hangs up cancels its job, unless it sent an `Idempotency-Key`: with that it
    comes back for it."""
    manner = manner_of(request)
    attempt = Attempt.of(request.headers)
    asked, accepted = await _job(services, caller, body, manner, attempt)
    record = accepted.record
    note_job(record.id)
    headers = {REQUEST_ID: record.id} | quota_headers(accepted.quotas)
    if accepted.is_replay:
        headers[REPLAYED] = "true"
    is_kept = bool(manner.idempotency_key)
    if body.stream:
        events = image_events(services, record, body)
        return JobStream(services, None if is_kept else record.id, events, headers)
    if not record.state.is_final:
        ended = await end_of(services, caller, request, record)
        if ended is None:
            if not is_kept:
                await let_go(services, record, asked, attempt)
            return Response(status_code=CLIENT_GONE)
        record = ended
    try:
        reply = await _reply(services, request, record, body)
    except ServiceError:
        await leave(services, record, asked)
        raise
    return JSONResponse(reply.model_dump(exclude_none=True), headers=headers)


async def _job(
    services: Services, caller: Caller, body: ImagesBody, manner: Manner, attempt: Attempt
) -> tuple[GenerateRequest, Accepted]:
    census = await services.census.get()
    model = model_named(body.model, census.models, services.settings.openai_models)
    with in_their_words(body.params):
        asked = body.asked(model)
        accepted = await retaken(services, caller, asked, attempt)
        if accepted is None:
            keys = manner.idempotency_key
            ticket = Ticket.of(read_key(keys), asked, caller.owner) if keys else None
            accepted = await make_job(services, caller, asked, ticket, is_fresh=manner.wants_fresh)
    return asked, accepted


async def _reply(
    services: Services, request: Request, record: JobRecord, body: ImagesBody
) -> ImagesReply:
    pictures = require_pictures(record)
    if body.response_format == "url":
        urls = await links(services, request, record)
        data = [
            ImageReply(url=url, seed=picture.seed)
            for url, picture in zip(urls, pictures, strict=True)
        ]
    else:
        data = []
        for picture in pictures:
            content = base64.b64encode(await picture_content(services, picture)).decode()
            data.append(ImageReply(b64_json=content, seed=picture.seed))
    return ImagesReply(
        **about(record, body), created=ended_at(record), data=data, quality=body.level
    )
