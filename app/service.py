"""What the routes share."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from redis import Redis

from app.admission import Admission
from app.metrics import AppMetrics
from app.settings import AppSettings
from app.waiting import Endings
from contract.connections import connect
from contract.pictures import PictureStore

REDIS_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    settings: AppSettings
    connection: Redis
    pictures: PictureStore
    admission: Admission
    endings: Endings
    metrics: AppMetrics

    @classmethod
    def open(cls, settings: AppSettings) -> "Service":
        """Connects to nothing yet: the API starts whether or not Redis is there."""
        connection = connect(settings.redis_url, timeout_s=REDIS_TIMEOUT_S)
        return cls(
            settings=settings,
            connection=connection,
            pictures=PictureStore(connection, settings.result_ttl_s),
            admission=Admission(connection, settings),
            endings=Endings(settings.redis_url),
            metrics=AppMetrics(connection),
        )


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


ServiceDep = Annotated[Service, Depends(_service)]
