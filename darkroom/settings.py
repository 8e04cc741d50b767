"""Settings of the commands that ask a service."""

from typing import Annotated

from pydantic import Field, SecretStr

from contract.settings import CommonSettings


class ClientSettings(CommonSettings):
    url: Annotated[
        str | None,
        Field(
            description="The service that `darkroom generate`, `jobs`, `cancel` and `status` ask. "
            "Default: this machine's, at `DARKROOM_HOST` and `DARKROOM_PORT`."
        ),
    ] = None
    key: Annotated[
        SecretStr | None,
        Field(description="API key with which these commands ask it."),
    ] = None
