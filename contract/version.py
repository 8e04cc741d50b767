"""The version of the contract: what a job's record says, and who may act on it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from contract.errors import MalformedJob, NewerContract

CONTRACT_VERSION = 2
"""One more with each change after which an older worker would draw something else, or fail: a new
field of the request is one. An argument that may be left unread is none."""

SINCE: Mapping[str, int] = MappingProxyType({"guidance_start": 2, "guidance_stop": 2})
"""The fields of a request that came with a later version than 1. Where they have their defaults the
request is written without them, as by an older release: so its workers may draw it, and what was
finished before is equal to it."""

VERSION_ARGUMENT = "version"
"""Of the task. A job without it is of version 1."""


def is_newer(kwargs: Any, known: int = CONTRACT_VERSION) -> bool:
    """Whether a job, by its arguments, is for others than who knows the contract up to `known`."""
    version = kwargs.get(VERSION_ARGUMENT) if isinstance(kwargs, Mapping) else None
    return isinstance(version, int) and version > known


def require_known(kwargs: Mapping[str, Any], known: int = CONTRACT_VERSION) -> None:
    """
    Raises:
        NewerContract: a newer release has written the job.
        MalformedJob: its version is none.
    """
    version = kwargs.get(VERSION_ARGUMENT, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise MalformedJob("The job's version is not a number from 1 on.")
    if is_newer(kwargs, known):
        raise NewerContract(
            f"The job is of version {version} of the contract, and this release knows no more "
            f"than {known}: upgrade it."
        )
