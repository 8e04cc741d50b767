"""The API's settings."""

from typing import Annotated

from pydantic import Field

from contract.settings import CommonSettings


class AppSettings(CommonSettings):
    host: Annotated[str, Field(description="Address that the API listens on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    ] = 8000
    default_model: Annotated[
        str | None,
        Field(
            description="The model of a request that names none. Default: the only one there is; "
            "needed where workers announce several."
        ),
    ] = None
    max_queue: Annotated[
        int, Field(ge=1, description="Jobs that may wait per model; more are refused with 503.")
    ] = 10_000
    max_wait_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            allow_inf_nan=False,
            description="Longest wait that `Prefer: wait` may ask for, in seconds.",
        ),
    ] = 60
