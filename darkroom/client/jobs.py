"""A job as the service shows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from darkroom.client.answers import Answer
from darkroom.client.errors import JobCancelled, JobFailed

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobRequest(Answer):
    """What was asked for, with nothing left open: the seed and the size are those used."""

    prompt: str
    negative_prompt: str
    guidance: float
    guidance_start: float = 0.0
    guidance_stop: float = 1.0
    steps: int
    sampler: str
    seed: int
    width: int
    height: int
    resized_width: int | None = None
    resized_height: int | None = None
    images: int
    format: Literal["png", "jpeg", "webp"]
    quality: int | None = None
    metadata: bool
    previews: int
    priority: Literal["high", "normal", "low"]
    model: str
    fitted: tuple[str, ...] = ()  # what is less because of the key


class Progress(Answer):
    step: int
    steps: int


class Image(Answer):
    url: str
    sha256: str
    seed: int
    bytes: int
    width: int
    height: int
    media_type: str


class Timings(Answer):
    """Seconds; None where that is not known, or not yet."""

    accept_s: float | None = None
    queue_s: float | None = None
    admission_s: float | None = None
    text_encode_s: float | None = None
    denoise_s: float | None = None
    decode_s: float | None = None
    encode_s: float | None = None
    store_s: float | None = None
    total_s: float | None = None


class Fault(Answer):
    code: str
    title: str
    detail: str


class Job(Answer):
    id: str
    state: JobState
    model: str
    request: JobRequest
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    queue_position: int | None  # 1 is next
    estimated_s: float | None  # until it is done
    progress: Progress | None
    images: tuple[Image, ...]
    warnings: tuple[str, ...]
    approximations: tuple[str, ...] = ()  # what makes the pictures others than in full
    error: Fault | None
    timings: Timings | None
    worker: str | None
    tags: Mapping[str, str]
    cached: bool
    device_s: float | None = None  # its share of the batches that it rode in
    links: Mapping[str, str | None]

    @property
    def is_final(self) -> bool:
        return self.state not in ("queued", "running")

    def raise_for_state(self) -> "Job":
        """The job itself, unless it ended without pictures.

        Raises:
            JobFailed, JobCancelled: it did.
        """
        if self.state == "failed":
            raise JobFailed(self)
        if self.state == "cancelled":
            raise JobCancelled(self)
        return self


class JobPage(Answer):
    jobs: tuple[Job, ...]
    next: str | None
