"""What the API answers with."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from contract.job import JobFault, JobRecord, JobState
from contract.progress import JobProgress
from contract.request import MEDIA_TYPES, Approximation, JobRequest
from contract.workers import ModelCard, WorkerCard

PICTURE_SCHEMA = {"type": "string", "format": "binary"}
PICTURE_CONTENT: dict[str, Any] = {
    media_type: {"schema": PICTURE_SCHEMA, "example": "(the bytes of a picture)"}
    for media_type in MEDIA_TYPES.values()
}

REQUEST_EXAMPLE: dict[str, Any] = {
    "prompt": "red apple",
    "negative_prompt": "",
    "guidance": 7.5,
    "guidance_start": 0.0,
    "guidance_stop": 1.0,
    "steps": 30,
    "sampler": "dpmpp_2m_karras",
    "images": 1,
    "priority": "normal",
    "previews": 0,
    "model": "starter",
    "seed": 1,
    "width": 128,
    "height": 128,
    "format": "png",
    "quality": None,
    "metadata": True,
}
RESOLVED_EXAMPLE = REQUEST_EXAMPLE | {
    "resized_width": None,
    "resized_height": None,
    "fitted": [],
}
ID_EXAMPLE = "01a20cbb-88bd-7a27-b2ae-4323d6ddb518"
DIGEST_EXAMPLE = "48f631c471e5a5bad3f7cab3446495be38b3b5fae490fdf1b12af534c5ce12eb"
QUEUED_EXAMPLE: dict[str, Any] = {
    "id": ID_EXAMPLE,
    "state": "queued",
    "model": "starter",
    "request": RESOLVED_EXAMPLE,
    "created_at": "2026-11-24T08:45:46.557000Z",
    "started_at": None,
    "ended_at": None,
    "queue_position": 3,
    "estimated_s": 2.4,
    "progress": None,
    "images": [],
    "warnings": [],
    "approximations": [],
    "error": None,
    "timings": None,
    "worker": None,
    "tags": {},
    "cached": False,
    "device_s": None,
    "links": {
        "self": f"/jobs/{ID_EXAMPLE}",
        "events": f"/jobs/{ID_EXAMPLE}/events",
        "cancel": f"/jobs/{ID_EXAMPLE}",
        "delete": None,
        "retry": f"/jobs/{ID_EXAMPLE}/retry",
    },
}
ENDED_LINKS = QUEUED_EXAMPLE["links"] | {"cancel": None, "delete": f"/jobs/{ID_EXAMPLE}"}
SUCCEEDED_EXAMPLE = QUEUED_EXAMPLE | {
    "state": "succeeded",
    "started_at": "2026-11-24T08:45:46.561000Z",
    "ended_at": "2026-11-24T08:45:47.713000Z",
    "queue_position": None,
    "estimated_s": None,
    "images": [
        {
            "url": f"/jobs/{ID_EXAMPLE}/images/0",
            "sha256": DIGEST_EXAMPLE,
            "seed": 1,
            "bytes": 4601,
            "width": 128,
            "height": 128,
            "media_type": "image/png",
        }
    ],
    "timings": {
        "accept_s": 0.002,
        "queue_s": 0.004,
        "admission_s": 0.001,
        "text_encode_s": 0.005,
        "denoise_s": 1.11,
        "decode_s": 0.02,
        "encode_s": 0.01,
        "store_s": 0.003,
        "total_s": 1.155,
    },
    "worker": "gpu-1.61de2b84",
    "device_s": 0.194,
    "links": ENDED_LINKS,
}
CANCELLED_EXAMPLE = QUEUED_EXAMPLE | {
    "state": "cancelled",
    "ended_at": "2026-11-24T08:45:47.713000Z",
    "queue_position": None,
    "estimated_s": None,
    "links": ENDED_LINKS,
}
JOBS_EXAMPLE = {
    "jobs": [SUCCEEDED_EXAMPLE],
    "next": "/jobs?limit=1&cursor=AaIMu4i9eieyroMj1t21GA",
}
MODELS_EXAMPLE = {
    "models": [
        {
            "id": "starter",
            "width": 128,
            "height": 128,
            "min_side": 16,
            "max_side": 128,
            "side_multiple": 8,
            "token_limit": 24,
            "prediction_type": "v_prediction",
            "fingerprint": "5a40ebf1e6ef9a8a0ba3b28c5ee3ea2a3a1ea1df1f8e8bd5a4d4c1e7a3d08a11",
            "samplers": {"lcm": {"max_steps": 50, "refusal": None}},
            "seen_at": 1795509933.8,
            "live_workers": 1,
            "queued": 0,
            "default": True,
        }
    ]
}
READY_EXAMPLE = {
    "status": "ready",
    "workers": [
        {
            "name": "gpu-1",
            "model": "starter",
            "host": "node-7",
            "pid": 4772,
            "device": "cuda",
            "dtype": "float16",
            "rows": 16,
            "metrics_port": 9464,
            "started_at": 1795509933.8,
            "row_steps_per_s": 412.5,
            "pace": {
                "step_s": 0.0045,
                "row_s": 0.0033,
                "aside_s": 0.06,
                "done_per_s": 205.0,
                "rows": 12.0,
                "row_steps": 171.0,
                "sizes": ["128x128"],
            },
        }
    ],
}


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Progress(_View):
    """Step k of n, over all pictures of the job."""

    step: int
    steps: int


class Image(_View):
    url: str
    sha256: str
    seed: int
    bytes: int
    width: int
    height: int
    media_type: str


class PhaseTimings(_View):
    """Where the time of a job went, in seconds; null where that is not known, or not yet. Of
    several pictures it is the way of the one that was stored last. The phases add up to the
    total."""

    accept_s: Annotated[
        float | None, Field(description="From the start of the request until it was accepted.")
    ] = None
    queue_s: Annotated[
        float | None, Field(description="Accepted until a worker took it, the last one so far.")
    ] = None
    admission_s: Annotated[
        float | None, Field(description="Taken until there was room for the picture.")
    ] = None
    text_encode_s: Annotated[
        float | None, Field(description="Prompts to embeddings, until it joined a batch.")
    ] = None
    denoise_s: float | None = None
    decode_s: Annotated[float | None, Field(description="Latents to pixels.")] = None
    encode_s: Annotated[
        float | None, Field(description="Pixels to bytes, with the wait for a thread.")
    ] = None
    store_s: Annotated[float | None, Field(description="Bytes into the store.")] = None
    total_s: Annotated[
        float | None,
        Field(
            description="From the start of the request until the picture was stored; of a job that "
            "ended without pictures, accepted until its end. The commit that follows is not in it."
        ),
    ] = None

    @classmethod
    def of(cls, record: JobRecord) -> Self | None:
        if record.result is not None:
            return cls(**record.result.timings.model_dump())
        if record.started_at is None:
            return None
        accepted, ended = record.created_at, record.ended_at
        return cls(
            queue_s=max(0.0, (record.started_at - accepted).total_seconds()),
            total_s=(ended - accepted).total_seconds() if ended is not None else None,
        )


class Links(_View):
    self: str
    events: Annotated[str, Field(description="Server-Sent Events, to the job's end.")]
    cancel: Annotated[str | None, Field(description="DELETE it; null once the job has ended.")]
    delete: Annotated[str | None, Field(description="DELETE it; null until the job has ended.")]
    retry: Annotated[str, Field(description="POST there to ask for the same again.")]

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        url, is_final = job_url(record.id), record.state.is_final
        return cls(
            self=url,
            events=f"{url}/events",
            cancel=None if is_final else url,
            delete=url if is_final else None,
            retry=f"{url}/retry",
        )


class JobView(_View):
    id: str
    state: JobState
    model: str
    request: JobRequest
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    queue_position: Annotated[int | None, Field(description="1 is next; null unless queued.")]
    estimated_s: Annotated[
        float | None,
        Field(
            description="Seconds until it is done, as estimated: of a job that waits from the work "
            "before it and the pace of the workers, of one that runs from its progress. Null once "
            "it has ended, or where no pace is known."
        ),
    ]
    progress: Annotated[Progress | None, Field(description="Null unless running.")]
    images: Annotated[list[Image], Field(description="Empty until the job has succeeded.")]
    warnings: list[str]
    approximations: Annotated[
        list[Approximation],
        Field(
            description="What makes the pictures others than they would be in full, as the request "
            "wanted it: `guidance_interval` where steps go without guidance."
        ),
    ]
    error: JobFault | None
    timings: Annotated[PhaseTimings | None, Field(description="Null until a worker took the job.")]
    worker: Annotated[str | None, Field(description="Who runs or ran it.")]
    tags: Annotated[dict[str, str], Field(description="The caller's own notes, as they came.")]
    cached: Annotated[
        bool, Field(description="Whether an equal job had made the pictures already.")
    ]
    device_s: Annotated[
        float | None,
        Field(
            description="Seconds of the device: the job's share of the batches that it rode in, on "
            "the worker that finished it; null until it has succeeded."
        ),
    ]
    links: Links

    @classmethod
    def of(cls, record: JobRecord, estimated_s: float | None) -> Self:
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
            estimated_s=estimated_s,
            progress=_progress(record),
            images=_images(record),
            warnings=record.request.warnings + (result.warnings if result is not None else []),
            approximations=record.request.approximations,
            error=record.error,
            timings=PhaseTimings.of(record),
            worker=record.worker,
            tags=dict(record.tags),
            cached=result is not None and result.cached,
            device_s=result.device_s if result is not None else None,
            links=Links.of(record),
        )


class JobsView(_View):
    """A page of jobs. Their places in the queue are told by GET /jobs/{id}."""

    jobs: Annotated[list[JobView], Field(description="Newest first.")]
    next: Annotated[
        str | None,
        Field(description="The next page, which may be empty; null where there is none."),
    ]


class ModelView(ModelCard):
    live_workers: int
    queued: Annotated[int, Field(description="Jobs that wait for it.")]
    default: Annotated[bool, Field(description="Whether a request that names no model gets it.")]


class ModelsView(_View):
    models: list[ModelView]


class HealthView(_View):
    status: str


class ReadyView(_View):
    status: str
    workers: Annotated[list[WorkerCard], Field(description="Those that live, by name.")]


def job_url(job_id: str) -> str:
    return f"/jobs/{job_id}"


def image_url(job_id: str, n: int) -> str:
    return f"{job_url(job_id)}/images/{n}"


def _progress(record: JobRecord) -> Progress | None:
    if record.progress is None:
        return None
    steps = record.request.steps
    return Progress(step=JobProgress.of(record.progress, steps).step, steps=steps)


def _images(record: JobRecord) -> list[Image]:
    if record.result is None:
        return []
    return [
        Image(
            url=image_url(record.id, n),
            sha256=image.sha256,
            seed=image.seed,
            bytes=image.bytes,
            width=record.request.final_size.width,
            height=record.request.final_size.height,
            media_type=record.request.media_type,
        )
        for n, image in enumerate(record.result.images)
    ]
