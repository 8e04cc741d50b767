"""What happens to a job, as the service tells it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Base64Bytes, Field

from darkroom.client.answers import Answer, read
from darkroom.client.jobs import Job
from darkroom.client.sse import Sent


class JobEvent(Answer):
    """`id` is where to go on from, once this event has been seen."""

    id: str | None = None


class Queued(JobEvent):
    """The job waits. Comes again whenever its place has changed."""

    queue_position: int | None  # 1 is next; None once it runs
    estimated_s: float | None


class Started(JobEvent):
    worker: str | None
    attempt: int | None  # 1 for the first worker that has it


class Requeued(JobEvent):
    """Its worker stopped or died; it goes on from its last checkpoint."""

    reason: str | None


class Progressed(JobEvent):
    step: int
    steps: int
    estimated_s: float | None


class Preview(JobEvent):
    """What a picture will look like, as far as can be told."""

    image: int  # the number of the picture
    index: int  # among the previews of that picture
    step: int
    steps: int
    width: int
    height: int
    media_type: str
    content: Annotated[Base64Bytes, Field(validation_alias="data")]


class Snapshot(JobEvent):
    """The job as it is, where what happened before is not known any more."""

    job: Job


class Ended(JobEvent):
    """The last one."""

    job: Job


_KINDS: Mapping[str, type[JobEvent]] = {
    "queued": Queued,
    "started": Started,
    "requeued": Requeued,
    "progress": Progressed,
    "preview": Preview,
}
_WITH_JOB: Mapping[str, type[Snapshot | Ended]] = {"snapshot": Snapshot, "end": Ended}


def event_of(sent: Sent) -> JobEvent | None:
    """None for a kind that only a newer client knows.

    Raises:
        BadAnswer: its data is not what it should be.
    """
    if sent.name in _WITH_JOB:
        return _WITH_JOB[sent.name](id=sent.id, job=read(Job, sent.data))
    kind = _KINDS.get(sent.name)
    if kind is None:
        return None
    return read(kind, sent.data).model_copy(update={"id": sent.id})
