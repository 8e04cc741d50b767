"""The stream of POST /v1/images/generations: previews, then the pictures, or one error.

The SDK knows two kinds of events and takes every other for one of them; and once an event had an
`id:` it fails over a heartbeat. So there are no others, and no ids.
"""

import base64
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from sse_starlette import ServerSentEvent

from app.compat.openai.body import ImagesBody
from app.compat.openai.errors import ErrorReply
from app.compat.openai.replies import CompletedImage, PartialImage, about, ended_at
from app.compat.openai.results import require_pictures
from app.problems import INTERNAL, STATUS, JobFailed, Problem, problem_of
from app.routes.events import SEPARATOR, read_patiently
from app.routes.pictures import picture_content
from app.services import Services
from contract.errors import DarkroomError
from contract.events import EventKind, JobEvent
from contract.job import JobRecord
from contract.sizes import Size

logger = logging.getLogger(__name__)


async def image_events(
    services: Services, record: JobRecord, body: ImagesBody
) -> AsyncGenerator[ServerSentEvent, None]:
    """To the end of the job, whichever that is: a stream that breaks off would look like one that
    has no pictures."""
    try:
        async with aclosing(_events(services, record, body)) as events:
            async for event in events:
                yield event
    except Exception as error:
        problem = _problem(error)
        if problem is INTERNAL:
            logger.exception("the stream of job %s", record.id)
        services.metrics.failed(problem.code)
        yield _sse("error", ErrorReply.of(problem).model_dump_json())


async def _events(
    services: Services, record: JobRecord, body: ImagesBody
) -> AsyncGenerator[ServerSentEvent, None]:
    if not record.state.is_final:
        async with aclosing(services.newsroom.follow(record)) as updates:
            async for update in updates:
                if isinstance(update, JobEvent) and update.content is not None:
                    preview = _partial(update, update.content, body)
                    yield _sse(preview.type, preview.model_dump_json())
    ended = await read_patiently(services, record.id) or record
    for n, picture in enumerate(require_pictures(ended)):
        content = await picture_content(services, picture)
        completed = CompletedImage(
            **about(ended, body),
            b64_json=base64.b64encode(content).decode(),
            created_at=ended_at(ended),
            quality=body.level or "auto",
            image=n,
            seed=picture.seed,
        )
        yield _sse(completed.type, completed.model_dump_json(exclude_none=True))


def _partial(event: JobEvent, content: bytes, body: ImagesBody) -> PartialImage:
    assert event.kind is EventKind.PREVIEW
    fields = event.fields
    return PartialImage(
        b64_json=base64.b64encode(content).decode(),
        created_at=int(event.at),
        quality=body.level or "auto",
        image=int(fields["image"]),
        partial_image_index=int(fields["index"]),
        size=str(Size(int(fields["width"]), int(fields["height"]))),
    )


def _problem(error: Exception) -> Problem:
    if isinstance(error, JobFailed):
        return error.problem
    if isinstance(error, DarkroomError) and error.code in STATUS:
        return problem_of(error)
    return INTERNAL


def _sse(name: str, data: str) -> ServerSentEvent:
    return ServerSentEvent(data, event=name, sep=SEPARATOR)
