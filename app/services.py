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


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(_services)]
