"""Settings of the commands that ask a service."""

from typing import Annotated

from pydantic import Field, SecretStr

from contract.settings import CommonSettings


class ClientSettings(CommonSettings):
    key: Annotated[
        SecretStr | None,
        Field(description="API key with which `darkroom generate` asks a service."),
    ] = None
