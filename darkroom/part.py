"""A part of the service: a process in a session of its own, so that only we stop it."""

import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from contract.errors import BadSetting

STOP_LIMIT_S = 15.0

logger = logging.getLogger(__name__)

Part = subprocess.Popen[bytes]


@contextmanager
def part(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> Iterator[Part]:
    """The running process, whose output goes to `log` or to where ours goes."""
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            logger.warning("the %s does not stop; it is killed", name)
            process.kill()
            process.wait()


def require_alive(parts: Mapping[str, Part]) -> None:
    """
    Raises:
        BadSetting: one of the parts has ended.
    """
    for name, process in parts.items():
        if process.poll() is not None:
            raise BadSetting(
                f"The {name} has ended with exit code {process.returncode}; it said why above."
            )
