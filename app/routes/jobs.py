"""Jobs: list them, look at one, cancel one, delete one."""

import re
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from app.access import Asker, caller_of
from app.cursors import read_cursor, write_cursor
from app.estimates import job_view, poll_again_s
from app.known_query import known_query
from app.lookup import find_job
from app.quick_route import QuickRoute
from app.responses import problems, success
from app.services import Served, services_of
from app.views import CANCELLED_EXAMPLE, JOBS_EXAMPLE, SUCCEEDED_EXAMPLE, JobsView, JobView
from contract import deletion, endings, errors
from contract.job import JobState
from contract.job_index import Span
from contract.job_list import Wanted, list_jobs

router = APIRouter(prefix="/jobs", tags=["jobs"])
quick = APIRouter(prefix="/jobs", tags=["jobs"], route_class=QuickRoute)

JOB_TYPE = "application/json"
MOST_LISTED = 100
NUMBER = re.compile(r"\s*[-+]?[0-9._]+(?:[eE][-+]?[0-9]+)?\s*")
WHEN = "A time of RFC 3339; UTC where it names no zone."


def _as_written(text: object) -> object:
    """What is a number would be taken for seconds, or milliseconds, since 1970."""
    if isinstance(text, str) and NUMBER.fullmatch(text) is not None:
        raise PydanticCustomError("no_time", "Must be a time of RFC 3339")
    return text


When = Annotated[datetime, BeforeValidator(_as_written)]
NOT_THERE = (
    errors.JobNotFound,
    errors.JobExpired,
    errors.JobDeleted,
    errors.NewerContract,
    errors.MalformedJob,
)
NOT_WRITTEN = (errors.RedisUnavailable, errors.QueueFull)
"""To cancel and to delete is to write, which a Redis that is out of memory refuses."""


@router.get(
    "",
    response_model=JobsView,
    dependencies=[Depends(known_query)],
    responses=success(200, "A page of them.", JOBS_EXAMPLE, JOB_TYPE)
    | problems(errors.InvalidRequest, errors.RedisUnavailable),
    summary="The jobs that are kept, newest first",
)
async def get_jobs(
    request: Request,
    services: Served,
    caller: Asker,
    state: Annotated[list[JobState] | None, Query(description="One or several.")] = None,
    model: Annotated[str | None, Query()] = None,
    created_after: Annotated[When | None, Query(description=WHEN)] = None,
    created_before: Annotated[When | None, Query(description=WHEN)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
    cursor: Annotated[str | None, Query(description="From the link `next` of a page.")] = None,
) -> JobsView:
    """A page may be shorter than `limit`, and still have a next one."""
    span = Span(_in_utc(created_after), _in_utc(created_before))
    wanted = Wanted(frozenset(state or ()), model, span)
    page = await services.backend.call(list_jobs, caller.owner, wanted, limit, read_cursor(cursor))
    views = [await job_view(services, record) for record in page.jobs]
    return JobsView(jobs=views, next=_next(request, page.cursor))


def _in_utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _next(request: Request, cursor: str | None) -> str | None:
    """The same question from there on."""
    if cursor is None:
        return None
    asked = request.query_params.multi_items()
    kept = [(name, value) for name, value in asked if name != "cursor"]
    return f"{router.prefix}?{urlencode([*kept, ('cursor', write_cursor(cursor))])}"


@quick.get(
    "/{job_id}",
    response_model=JobView,
    responses=success(200, "The job as it is now.", SUCCEEDED_EXAMPLE, "application/json")
    | problems(*NOT_THERE, errors.InvalidRequest, errors.RedisUnavailable),
    summary="State, progress and pictures of a job",
    description="Until the job has ended, `Retry-After` says when to ask again.",
)
async def get_job(
    job_id: str,
    request: Request,
    wait: Annotated[
        int,
        Query(ge=0, description="Waits up to so many seconds for the end, within a limit."),
    ] = 0,
) -> Response:
    services = services_of(request)
    record = await find_job(services, caller_of(request), job_id)
    if wait and not record.state.is_final:
        seconds = min(wait, services.settings.max_wait_s)
        record = await services.endings.wait(record, seconds)
    job = await job_view(services, record)
    advice = {} if job.state.is_final else {"Retry-After": str(poll_again_s(job))}
    return Response(job.model_dump_json(), headers=advice, media_type=JOB_TYPE)


@router.post(
    "/{job_id}/cancel",
    response_model=JobView,
    responses=success(200, "The job, now cancelled.", CANCELLED_EXAMPLE, "application/json")
    | problems(*NOT_THERE, errors.JobEnded, *NOT_WRITTEN),
    summary="Cancel a job, and leave it alone if it has ended",
)
async def cancel_job(job_id: str, services: Served, caller: Asker) -> JobView:
    await find_job(services, caller, job_id)
    await services.backend.call(endings.cancel, job_id)
    return await job_view(services, await find_job(services, caller, job_id))


@router.delete(
    "/{job_id}",
    response_model=JobView,
    responses=success(200, "It waited or ran: now cancelled.", CANCELLED_EXAMPLE, JOB_TYPE)
    | {
        204: {
            "description": "It had ended: now deleted, with those of its pictures that no other "
            "job has."
        }
    }
    | problems(*NOT_THERE, errors.JobEnded, errors.StoreUnavailable, *NOT_WRITTEN),
    summary="Cancel a job that waits or runs; delete one that has ended",
)
async def delete_job(job_id: str, services: Served, caller: Asker) -> JobView | Response:
    """409 `job_ended` where it ends at this moment: nobody has seen its pictures yet."""
    record = await find_job(services, caller, job_id)
    if not record.state.is_final:
        return await cancel_job(job_id, services, caller)
    backend = services.backend
    begun = await backend.call(deletion.begin, record)
    await services.gallery.delete(begun.pictures)
    await backend.call(deletion.finish, begun, services.settings.result_ttl_s)
    return Response(status_code=204)
