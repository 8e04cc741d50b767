"""The console command of darkroom, and a client of the service: `darkroom.Client`.

What belongs to the client is loaded when it is first named: a worker needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.client.async_client import AsyncClient as AsyncClient
    from darkroom.client.errors import BadAddress as BadAddress
    from darkroom.client.errors import BadAnswer as BadAnswer
    from darkroom.client.errors import CannotSave as CannotSave
    from darkroom.client.errors import ClientError as ClientError
    from darkroom.client.errors import InvalidRequest as InvalidRequest
    from darkroom.client.errors import JobCancelled as JobCancelled
    from darkroom.client.errors import JobEnded as JobEnded
    from darkroom.client.errors import JobFailed as JobFailed
    from darkroom.client.errors import NotAllowed as NotAllowed
    from darkroom.client.errors import NotThere as NotThere
    from darkroom.client.errors import Refused as Refused
    from darkroom.client.errors import ServiceFault as ServiceFault
    from darkroom.client.errors import Unavailable as Unavailable
    from darkroom.client.errors import Unreachable as Unreachable
    from darkroom.client.errors import WaitTimeout as WaitTimeout
    from darkroom.client.errors import WrongState as WrongState
    from darkroom.client.events import Ended as Ended
    from darkroom.client.events import JobEvent as JobEvent
    from darkroom.client.events import Preview as Preview
    from darkroom.client.events import Progressed as Progressed
    from darkroom.client.events import Queued as Queued
    from darkroom.client.events import Requeued as Requeued
    from darkroom.client.events import Snapshot as Snapshot
    from darkroom.client.events import Started as Started
    from darkroom.client.jobs import Image as Image
    from darkroom.client.jobs import Job as Job
    from darkroom.client.retries import Retries as Retries
    from darkroom.client.sync_client import Client as Client

_HOMES = {
    "async_client": ("AsyncClient",),
    "errors": (
        "BadAddress",
        "BadAnswer",
        "CannotSave",
        "ClientError",
        "InvalidRequest",
        "JobCancelled",
        "JobEnded",
        "JobFailed",
        "NotAllowed",
        "NotThere",
        "Refused",
        "ServiceFault",
        "Unavailable",
        "Unreachable",
        "WaitTimeout",
        "WrongState",
    ),
    "events": (
        "Ended",
        "JobEvent",
        "Preview",
        "Progressed",
        "Queued",
        "Requeued",
        "Snapshot",
        "Started",
    ),
    "jobs": ("Image", "Job"),
    "retries": ("Retries",),
    "sync_client": ("Client",),
}
_EXPORTS = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """
    Raises:
        ImportError: what the client needs is not installed.
    """
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"darkroom.client.{_EXPORTS[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"darkroom.{name} needs {error.name}: install darkroom with the extra `client`."
        ) from error
