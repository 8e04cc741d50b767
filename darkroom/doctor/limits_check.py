"""What the system allows a process."""

import resource
from collections.abc import Iterator

from app.open_files import SPARE
from app.settings import AppSettings
from darkroom.doctor.finding import Finding, ok, warn


def check_limits(settings: AppSettings) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield warn(
            f"A process may open {hard} files, which is {max(1, hard - SPARE)} clients and not the "
            f"{settings.max_connections} of DARKROOM_MAX_CONNECTIONS.",
            f"Raise the hard limit to {needed} (`ulimit -Hn`, `LimitNOFILE=` of systemd, "
            "`--ulimit nofile=` of Docker), or lower the setting.",
        )
    else:
        yield ok(f"A process may open the files that {settings.max_connections} clients need.")
