"""What the events of a job carry."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _EventView(BaseModel):
    model_config = ConfigDict(frozen=True)


class QueuedView(_EventView):
    """The job waits. Comes again whenever its place has changed."""

    queue_position: Annotated[int | None, Field(description="1 is next; null once it runs.")]
    estimated_s: Annotated[float | None, Field(description="Seconds until it is done.")]


class StartedView(_EventView):
    worker: str | None
    attempt: Annotated[int | None, Field(description="1 for the first worker that has it.")]


class RequeuedView(_EventView):
    """Its worker stopped or died. It goes on from its last checkpoint."""

    reason: str | None


class ProgressView(_EventView):
    """Step k of n, over all pictures of the job."""

    step: int
    steps: int
    estimated_s: Annotated[float | None, Field(description="Seconds until it is done.")]


class PreviewView(_EventView):
    """What a picture will look like, as far as can be told."""

    image: Annotated[int, Field(description="The number of the picture.")]
    index: Annotated[int, Field(description="Of the preview among those of the picture, from 0.")]
    step: int
    steps: int
    width: Annotated[int, Field(description="Of the preview, in pixels.")]
    height: int
    media_type: str
    data: Annotated[str, Field(description="The bytes in base64.")]
