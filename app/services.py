"""What the routes work with; one of each for an app."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.backend import Backend
from app.census import RecentCensus
from app.gallery import Gallery
from app.keyring import Keyring
from app.metrics import AppMetrics
from app.newsroom import Newsroom
from app.page.site import Site
from app.settings import AppSettings
from app.waiting import Endings


@dataclass(frozen=True, slots=True)
class Services:
    settings: AppSettings
    backend: Backend
    census: RecentCensus
    endings: Endings
    newsroom: Newsroom
    gallery: Gallery
    keyring: Keyring
    metrics: AppMetrics
    site: Site


def services_of(request: Request) -> Services:
    """For routes that are asked often: each dependency takes FastAPI some 30 us to see to."""
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    return services_of(request)


Served = Annotated[Services, Depends(_services)]
