"""Which build of the service a process is."""

import platform
from importlib.metadata import version


def build_labels(component: str, revision: str) -> dict[str, str]:
    """
    Args:
        revision: of the source, where whoever built it has said so.
    """
    return {
        "component": component,
        "version": version("darkroom"),
        "revision": revision,
        "python": platform.python_version(),
    }
