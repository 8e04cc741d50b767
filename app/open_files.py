"""Room for connections: each is an open file, and many systems let a process have 1,024."""

import logging
import resource
from contextlib import suppress

SPARE = 256
"""For all else: connections to Redis, pictures, and clients who are about to be told to go."""

logger = logging.getLogger(__name__)


def make_room(connections: int) -> int:
    """How many clients may be connected, as far as this process may raise its own limit."""
    needed = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_within(needed, soft):
        return connections
    raised = needed if _is_within(needed, hard) else hard
    with suppress(OSError, ValueError):  # some systems have a limit beyond the one they name
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    room = min(connections, max(1, soft - SPARE))
    if room < connections:
        logger.warning(
            "DARKROOM_MAX_CONNECTIONS: %d clients at most, not %d, with %d open files at most; "
            "raise that limit (ulimit -n)",
            room,
            connections,
            soft,
        )
    return room


def _is_within(files: int, limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or files <= limit
