"""Settings of the HTTP side."""

from typing import Annotated

from pydantic import Field

from contract.request import ModelId
from contract.settings import CommonSettings


class AppSettings(CommonSettings):
    host: Annotated[str, Field(description="Address that the API listens on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port that the API listens on; 0 takes a free one.")
    ] = 8000
    default_model: Annotated[
        ModelId | None,
        Field(
            description="Model of a request that names none. Needed only where several are served."
        ),
    ] = None
    max_queue: Annotated[
        int, Field(ge=1, description="How many jobs may wait for one model before 503.")
    ] = 10_000
    max_queue_s: Annotated[
        float | None,
        Field(
            gt=0,
            description="How many seconds of work, as estimated, may wait for one model before "
            "429. Default: any number.",
        ),
    ] = None
    queue_ttl_s: Annotated[
        int,
        Field(
            ge=1,
            description="How long a job may wait for a worker, in seconds; one that is taken later "
            "fails with `deadline_exceeded`.",
        ),
    ] = 3600
    max_wait_s: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="Longest wait of a POST with `Prefer: wait` and of a poll with `wait`, in "
            "seconds.",
        ),
    ] = 60
