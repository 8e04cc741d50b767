"""Parts of the service as processes of their own, as its users have them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
STARTER = ROOT / "models" / "starter"


@contextmanager
def process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A `darkroom` command that is told to stop at the end, and must."""
    running = subprocess.Popen(
        [sys.executable, "-m", "darkroom", *arguments], env=os.environ | environment, cwd=ROOT
    )
    try:
        yield running
    finally:
        running.terminate()
        assert running.wait(30) == 0
