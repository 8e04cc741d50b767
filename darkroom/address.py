"""Where the service listens, and where it is asked."""

import socket
from collections.abc import Mapping

from contract.errors import BadSetting

LOOPBACK: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who listens everywhere is asked here."""


def local_url(host: str, port: int) -> str:
    """The URL at which a process of this machine asks what listens on `host` and `port`."""
    host = LOOPBACK.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def usable_port(host: str, port: int, setting: str) -> int:
    """The port once it is clear that it can be listened on, and a free one for 0.

    Raises:
        BadSetting: it is taken, or forbidden, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        raise BadSetting(
            f"{setting}: {host}:{port} cannot be listened on: {error.strerror}."
        ) from error
