"""Builds the HTTP side and serves it."""

import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import uvicorn
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.telemetry import TelemetryConfig

from app.access import REFUSALS, authenticate
from app.backend import Backend
from app.body_limit import BodyLimit
from app.census import RecentCensus
from app.compat.a1111 import routes as a1111
from app.compat.a1111.envelope import write_error
from app.compat.openai.door import add_openai
from app.compat.openai.errors import PREFIX, error_response
from app.gallery import Gallery
from app.heads import HeadAsGet
from app.http_protocol import HttpProtocol
from app.keyring import Keyring
from app.metrics import AppMetrics, RequestMetrics
from app.newsroom import Newsroom
from app.open_files import make_room
from app.page.site import Site
from app.problems import handle_problems
from app.responses import only_problem_media, problems
from app.routes import (
    docs,
    events,
    generate,
    health,
    jobs,
    metrics,
    models,
    page,
    pictures,
    retries,
)
from app.security import SecuredApp
from app.services import Services
from app.settings import AppSettings
from app.waiting import Endings
from app.witness import Witness
from contract.connections import look_for_redis
from contract.errors import BadSetting
from contract.pictures.opening import open_store
from contract.tracing import open_spans

if TYPE_CHECKING:
    from contract.spans import Spans

logger = logging.getLogger(__name__)

BACKLOG = 2048
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""FastAPI's own spans would have the signatures of links in them."""

DESCRIPTION = (
    "POST a prompt, get a PNG. Errors are problem documents (RFC 9457). Under `/v1` the service "
    "speaks as OpenAI's Images API does.\n\n"
    "The starter model draws single things that have an emoji, such as `red apple`, `sailboat` or "
    "`penguin`; it cannot do sentences, scenes and most combinations."
)


def create_app(settings: AppSettings) -> FastAPI:
    """The app, with nothing shared between two of them but Redis and the picture store.

    Raises:
        BadSetting: the picture store cannot be opened, or traces cannot be made.
    """
    spans = open_spans(settings, "darkroom-api")
    backend = Backend(settings.redis_url)
    services = Services(
        settings=settings,
        backend=backend,
        census=RecentCensus(backend),
        endings=Endings(settings.redis_url, backend),
        newsroom=Newsroom(settings.redis_url, backend),
        gallery=Gallery(open_store(settings, backend.connection)),
        keyring=Keyring(backend),
        metrics=AppMetrics(backend.connection, settings.revision),
        site=Site.of(settings),
    )
    app = SecuredApp(
        title="darkroom",
        description=DESCRIPTION,
        telemetry=NO_TELEMETRY,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,  # it would lead to whatever host the header Host names
    )
    app.hsts_s = settings.hsts_s
    app.state.services = services
    app.state.metrics = services.metrics
    nouns = (jobs, retries, events, pictures, models, a1111)
    # What is asked most often stands first: FastAPI tries one after the other.
    for router in (generate.router, jobs.quick, *(noun.router for noun in nouns)):
        app.include_router(
            router,
            dependencies=_guards(settings),
            responses=problems(*REFUSALS),
        )
    for noun in (health, metrics, page, docs):  # open to all
        app.include_router(noun.router)
    add_openai(app, _guards(settings))
    handle_problems(app, {PREFIX: error_response} | dict.fromkeys(a1111.PREFIXES, write_error))
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestMetrics, metrics=services.metrics)
    _add_witness(app, settings, spans)
    app.add_middleware(HeadAsGet)
    app.openapi = partial(_openapi, app, app.openapi)  # type: ignore[method-assign]
    return app


def _add_witness(app: FastAPI, settings: AppSettings, spans: "Spans | None") -> None:
    """Only where there is something to tell: else it would cost each request a little."""
    app.state.spans = spans
    if settings.access_log or spans is not None:
        app.add_middleware(Witness, is_logged=settings.access_log, spans=spans)


def _guards(settings: AppSettings) -> list[Any]:
    """What every route needs that is not open to all. The second one only tells the API's page."""
    says_so = [Depends(HTTPBearer(auto_error=False))] if settings.needs_keys else []
    return [Depends(authenticate), *says_so]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    async with services.endings.listening(), services.newsroom.listening():
        yield
    services.gallery.close()
    await services.backend.close()
    if app.state.spans is not None:
        await anyio.to_thread.run_sync(app.state.spans.close)


def _openapi(app: FastAPI, build: Any) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = only_problem_media(build())
    return app.openapi_schema


class ApiServer(uvicorn.Server):
    """Lets nobody wait for a job into its own end: they are told where to ask again, and who
    follows one comes back by themselves."""

    def __init__(self, app: FastAPI):
        services: Services = app.state.services
        super().__init__(_config(app, services.settings))
        self._endings, self._newsroom = services.endings, services.newsroom

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._endings.release()
        self._newsroom.release()
        await super().shutdown(sockets)


def _config(app: FastAPI, settings: AppSettings) -> uvicorn.Config:
    proxies = [str(network) for network in settings.trusted_proxies]
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,  # it has the signatures of links in it; Witness writes ours
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.grace_s,
    )


def serve(settings: AppSettings) -> None:
    """Serves until a signal asks for the end.

    Raises:
        BadSetting: the address cannot be listened on, or would be open to all, the picture store
            cannot be opened, or Redis wants another password.
    """
    settings.require_keys_or_loopback()
    with listen(settings) as listener:
        room = make_room(settings.max_connections)
        settings = settings.model_copy(update={"max_connections": room})
        app = create_app(settings)
        services: Services = app.state.services
        look_for_redis(services.backend.connection)
        logger.info("the API listens on %s, port %d", *listener.getsockname()[:2])
        # uvicorn stops in order and then raises the signal again, as if it had been killed.
        signal.signal(signal.SIGTERM, lambda signum, frame: None)
        ApiServer(app).run(sockets=[listener])


def listen(settings: AppSettings) -> socket.socket:
    """Before anything else starts, so that a taken port is one sentence.

    Raises:
        BadSetting: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # With Nagle's algorithm the body of an answer waits for the client's acknowledgement of the
        # head, which many delay by 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        raise BadSetting(
            f"DARKROOM_HOST and DARKROOM_PORT: {settings.host}:{settings.port} cannot be listened "
            f"on: {error.strerror or error}."
        ) from error
