"""A job as the API shows it."""

import math
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from contract.job import JobFault, JobRecord, JobState, Timings
from contract.request import JobRequest

ROUNDING = 0.01
"""Steps. Progress travels as a share with four decimals, which may fall short of a whole step."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProgressView(_View):
    step: Annotated[int, Field(description="Denoising steps done.")]
    steps: int


class ImageView(_View):
    url: str
    sha256: str
    seed: int
    bytes: int
    width: Annotated[int, Field(description="Pixels.")]
    height: Annotated[int, Field(description="Pixels.")]
    media_type: Literal["image/png"] = "image/png"


class LinksView(_View):
    self: str
    cancel: Annotated[str, Field(description="DELETE it.")]


class JobView(_View):
    id: str
    state: JobState
    model: str
    request: Annotated[
        JobRequest,
        Field(description="With nothing left open: sent again, it makes the same pictures."),
    ]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    queue_position: Annotated[int | None, Field(description="1 is next; null unless queued.")]
    progress: Annotated[ProgressView | None, Field(description="Null unless running.")]
    images: Annotated[list[ImageView], Field(description="Empty until the job has succeeded.")]
    warnings: list[str]
    error: Annotated[JobFault | None, Field(description="Null unless failed.")]
    timings: Annotated[Timings | None, Field(description="Null until the job has succeeded.")]
    worker: Annotated[str | None, Field(description="Who runs it, or ran it.")]
    links: LinksView

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        address = job_path(record.id)
        result = record.result
        return cls(
            id=record.id,
            state=record.state,
            model=record.request.model,
            request=record.request,
            created_at=record.created_at,
            started_at=record.started_at,
            ended_at=record.ended_at,
            queue_position=record.queue_position,
            progress=_progress(record),
            images=_images(record),
            warnings=result.warnings if result is not None else [],
            error=record.error,
            timings=result.timings if result is not None else None,
            worker=record.worker,
            links=LinksView(self=address, cancel=address),
        )


def job_path(job_id: str) -> str:
    return f"/jobs/{job_id}"


def picture_path(job_id: str, n: int) -> str:
    return f"/jobs/{job_id}/images/{n}"


def _progress(record: JobRecord) -> ProgressView | None:
    if record.progress is None:
        return None
    steps = record.request.steps
    step = math.floor(record.progress * steps + ROUNDING)
    return ProgressView(step=min(step, steps), steps=steps)


def _images(record: JobRecord) -> list[ImageView]:
    if record.result is None:
        return []
    return [
        ImageView(
            url=picture_path(record.id, n),
            sha256=picture.sha256,
            seed=picture.seed,
            bytes=picture.bytes,
            width=record.request.width,
            height=record.request.height,
        )
        for n, picture in enumerate(record.result.images)
    ]
