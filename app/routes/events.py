"""GET /jobs/{id}/events: what happens to a job, as Server-Sent Events."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.access import Asker
from app.estimates import estimate_s, job_view
from app.event_views import (
    PreviewView,
    ProgressView,
    QueuedView,
    RequeuedView,
    StartedView,
)
from app.lookup import find_job
from app.newsroom import Gap, Update, Waiting
from app.responses import Responses, problems
from app.routes.jobs import NOT_THERE
from app.services import Served, Services
from app.views import SUCCEEDED_EXAMPLE
from contract import errors
from contract.errors import RedisUnavailable
from contract.events import EventKind, JobEvent
from contract.job import JobRecord
from contract.news import last_event_id
from contract.previews import MEDIA_TYPE
from contract.progress import LEFT_FIELD, STEP_FIELD, seconds_left

router = APIRouter(prefix="/jobs", tags=["jobs"])

HEARTBEAT_S = 15
SEND_TIMEOUT_S = 60.0
"""Whoever takes nothing in for so long is gone, or may come back with their last id."""

SHUTDOWN_S = 5.0
"""Until then each stream has ended by itself, as the newsroom lets them all go."""

ASK_AGAIN_S = 0.5  # where Redis is away
SEPARATOR = "\n"

EXAMPLE = f"""id: 1795509946557-0
event: queued
data: {{"queue_position":1,"estimated_s":1.2}}

id: 1795509946561-0
event: started
data: {{"worker":"gpu-1.61de2b84","attempt":1}}

id: 1795509946812-0
event: progress
data: {{"step":7,"steps":30,"estimated_s":0.9}}

: heartbeat

id: 1795509947713-0
event: end
data: {json.dumps(SUCCEEDED_EXAMPLE)}

"""

DESCRIPTION = """The stream begins with the job's first event and closes after its last one, `end`,
whose data is the job as `GET /jobs/{job_id}` shows it. In between come `queued` (again whenever the
place in the queue has changed), `started`, `progress`, `preview` where the request asked for
`previews`, and `requeued` where a worker was lost. A client that lost its connection sends the id
of the last event that it has seen as `Last-Event-ID`, as browsers do by themselves, and gets all
that came after it, once. Where that is not known any more a `snapshot` comes first: the job as it
is. Comments come as a heartbeat every 15 seconds."""


EVENT_SCHEMA = {
    "type": "object",
    "description": "One event.",
    "properties": {
        "id": {"type": "string"},
        "event": {
            "enum": ["queued", "started", "progress", "preview", "requeued", "snapshot", "end"]
        },
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
ANSWERS: Responses = {
    200: {
        "description": "The events, as they come.",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": EXAMPLE}},
    },
    204: {"description": "The caller has seen the end; there is nothing to come back for."},
}


class EventStream(EventSourceResponse):
    """Events with a heartbeat, to a reader who takes them in."""

    def __init__(
        self, events: AsyncIterator[ServerSentEvent], headers: Mapping[str, str] | None = None
    ):
        super().__init__(
            events,
            headers=headers,
            ping=HEARTBEAT_S,
            ping_message_factory=_heartbeat,
            send_timeout=SEND_TIMEOUT_S,
            shutdown_grace_period=SHUTDOWN_S,
            sep=SEPARATOR,
        )


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses=ANSWERS | problems(*NOT_THERE, errors.RedisUnavailable),
    summary="What happens to a job, as Server-Sent Events",
    description=DESCRIPTION,
)
async def get_events(
    job_id: str,
    services: Served,
    caller: Asker,
    last_event_id_header: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The last event that the caller has seen."),
    ] = None,
) -> Response:
    record = await find_job(services, caller, job_id)
    last_id = last_event_id_header
    if last_id is not None and record.state.is_final:
        end_id = await services.backend.call(last_event_id, job_id)
        if last_id == end_id:
            return Response(status_code=204)
    return EventStream(_stream(services, record, last_id))


async def _stream(
    services: Services, record: JobRecord, last_id: str | None
) -> AsyncIterator[ServerSentEvent]:
    async for update in services.newsroom.follow(record, last_id):
        event = await _event(services, record, update)
        if event is not None:
            yield event


async def _event(services: Services, record: JobRecord, update: Update) -> ServerSentEvent | None:
    """None where there is nothing left to show."""
    if isinstance(update, Waiting):
        return _sse("queued", update.id, await _queued(services, record, update))
    if isinstance(update, Gap):
        return await _whole_job(services, record.id, "snapshot", update.id)
    if update.kind.is_final:
        return await _whole_job(services, record.id, "end", update.id)
    view = _view(update, record.request.steps)
    return _sse(update.kind, update.id, view) if view is not None else None


async def _queued(services: Services, record: JobRecord, waiting: Waiting) -> QueuedView:
    standing = waiting.standing
    if standing is None:
        return QueuedView(queue_position=None, estimated_s=None)
    seconds = await estimate_s(services, record.request, standing)
    return QueuedView(queue_position=standing.position, estimated_s=seconds)


async def _whole_job(
    services: Services, job_id: str, name: str, event_id: str
) -> ServerSentEvent | None:
    record = await read_patiently(services, job_id)
    if record is None:
        return None
    return _sse(name, event_id, await job_view(services, record))


async def read_patiently(services: Services, job_id: str) -> JobRecord | None:
    """The job's record, however long Redis is away."""
    while True:
        try:
            return await services.backend.read_job(job_id)
        except RedisUnavailable:
            await asyncio.sleep(ASK_AGAIN_S)


def _view(event: JobEvent, steps: int) -> BaseModel | None:
    """Whatever stands in the stream is shown as far as it goes."""
    fields = event.fields
    if event.kind is EventKind.STARTED:
        attempt = fields.get("attempt")
        return StartedView(
            worker=fields.get("worker"), attempt=int(attempt) if attempt is not None else None
        )
    if event.kind is EventKind.REQUEUED:
        return RequeuedView(reason=fields.get("reason"))
    if event.kind is EventKind.PROGRESS:
        left_s = seconds_left(fields.get(LEFT_FIELD, ""))
        return ProgressView(step=int(fields[STEP_FIELD]), steps=steps, estimated_s=left_s)
    if event.content is None:  # a preview that has expired
        return None
    return PreviewView(
        image=int(fields["image"]),
        index=int(fields["index"]),
        step=int(fields["step"]),
        steps=steps,
        width=int(fields["width"]),
        height=int(fields["height"]),
        media_type=MEDIA_TYPE,
        data=base64.b64encode(event.content).decode(),
    )


def _sse(name: str, event_id: str | None, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(), event=name, id=event_id, sep=SEPARATOR)


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="heartbeat", sep=SEPARATOR)
