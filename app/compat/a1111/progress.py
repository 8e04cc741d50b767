"""How far the caller's pictures are, and their end before the time.

Of several jobs that a caller waits for the oldest one is shown. Those of POST /generate are not
among them.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.access import Asker, Caller
from app.compat.a1111.desk import Desk
from app.compat.a1111.info import TIMESTAMP
from app.compat.a1111.views import PendingTasksView, ProgressView, StateView, TaskView
from app.estimates import job_view
from app.services import Served, Services
from contract import endings
from contract.desks import job_of_task, open_tasks
from contract.errors import JobEnded, JobNotFound
from contract.job import JobRecord, JobState, read_job, read_jobs
from contract.previews import MEDIA_TYPE, ShownPreview, latest_preview
from contract.progress import JobProgress

router = APIRouter()

LEAST_SHARE = 0.01
"""Of a job that is not done; exactly 0 says that there is none."""

NO_PREVIEW = -1


@router.get("/sdapi/v1/progress")
async def get_progress(
    services: Served, caller: Asker, desk: Desk, skip_current_image: bool = False
) -> ProgressView:
    tasks = await services.backend.call(open_tasks, desk)
    record = await _first(services, caller, tasks)
    if record is None:
        return ProgressView()
    preview = None
    if not skip_current_image and record.state is JobState.RUNNING:
        preview = await services.backend.call(latest_preview, record.id)
    return ProgressView(
        progress=_share(record),
        eta_relative=await _seconds_left(services, record) or 0.0,
        state=_state(record, len(tasks)),
        current_image=_base64(preview) if preview is not None else None,
    )


@router.post("/sdapi/v1/interrupt")
@router.post("/sdapi/v1/skip")
async def interrupt(services: Served, desk: Desk) -> dict[str, str]:
    """All that the caller waits for here is cancelled; each waiting call is answered at once."""
    for job_id in await services.backend.call(open_tasks, desk):
        with suppress(JobEnded, JobNotFound):
            await services.backend.call(endings.cancel, job_id)
    return {}


class TaskQuestion(BaseModel):
    model_config = ConfigDict(frozen=True)

    id_task: Annotated[str | None, Field(max_length=255)] = None
    id_live_preview: int = NO_PREVIEW
    live_preview: bool = True


@router.post("/internal/progress")
async def get_task(question: TaskQuestion, services: Served, caller: Asker, desk: Desk) -> TaskView:
    """Of the job that was given a name by `force_task_id`."""
    record = None
    if question.id_task:
        job_id = await services.backend.call(job_of_task, desk, question.id_task)
        if job_id is not None:
            record = await services.backend.call(read_job, job_id, caller.owner)
    if record is None or record.state is not JobState.RUNNING:
        return _still(record)
    preview = None
    if question.live_preview:
        preview = await services.backend.call(latest_preview, record.id)
    is_new = preview is not None and preview.number != question.id_live_preview
    return TaskView(
        active=True,
        queued=False,
        completed=False,
        progress=_share(record),
        eta=await _seconds_left(services, record),
        live_preview=f"data:{MEDIA_TYPE};base64,{_base64(preview)}" if preview and is_new else None,
        id_live_preview=preview.number if preview is not None else question.id_live_preview,
    )


@router.get("/internal/pending-tasks")
async def get_pending_tasks(services: Served, desk: Desk) -> PendingTasksView:
    tasks = await services.backend.call(open_tasks, desk)
    records = await services.backend.call(read_jobs, list(tasks))
    waiting = [tasks[record.id] for record in records if record.state is JobState.QUEUED]
    return PendingTasksView(size=len(waiting), tasks=waiting)


async def _first(services: Services, caller: Caller, tasks: Mapping[str, str]) -> JobRecord | None:
    for job_id in tasks:
        record = await services.backend.call(read_job, job_id, caller.owner)
        if record is not None and not record.state.is_final:
            return record
    return None


def _state(record: JobRecord, count: int) -> StateView:
    steps = record.request.steps
    return StateView(
        job=record.id,
        job_count=count,
        job_timestamp=record.created_at.strftime(TIMESTAMP),
        sampling_step=JobProgress.of(record.progress or 0.0, steps).step,
        sampling_steps=steps,
    )


def _still(record: JobRecord | None) -> TaskView:
    """Of a job that is not running, or not there."""
    is_queued = record is not None and record.state is JobState.QUEUED
    return TaskView(
        active=False,
        queued=is_queued,
        completed=record is not None and record.state.is_final,
        id_live_preview=NO_PREVIEW,
        textinfo="In queue..." if is_queued else "Waiting...",
    )


def _share(record: JobRecord) -> float:
    return max(LEAST_SHARE, record.progress or 0.0)


async def _seconds_left(services: Services, record: JobRecord) -> float | None:
    return (await job_view(services, record)).estimated_s


def _base64(preview: ShownPreview) -> str:
    return base64.b64encode(preview.content).decode()
