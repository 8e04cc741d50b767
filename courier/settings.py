"""The courier's settings."""

from typing import Annotated

from pydantic import Field

from contract.settings import WebhookSettings


class CourierSettings(WebhookSettings):
    webhook_threads: Annotated[
        int,
        Field(ge=1, le=256, description="Webhooks that `darkroom webhooks` delivers at a time."),
    ] = 16
