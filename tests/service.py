"""Parts of the service as processes of their own, as its users have them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
STARTER = ROOT / "models" / "starter"


@contextmanager
def process(
    arguments: list[str], environment: dict[str, str], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A `darkroom` command that is told to stop at the end, and must.

    Args:
        log: where its log goes, as JSON; else it goes to where ours does.
    """
    as_json = {"DARKROOM_LOG_FORMAT": "json", "DARKROOM_ACCESS_LOG": "true"} if log else {}
    with ExitStack() as stack:
        running = subprocess.Popen(
            [sys.executable, "-m", "darkroom", *arguments],
            env=os.environ | as_json | environment,
            cwd=ROOT,
            stderr=stack.enter_context(log.open("wb")) if log else None,
        )
        try:
            yield running
        finally:
            running.terminate()
            assert running.wait(30) == 0, log.read_text() if log else "its log stands above"


def lines(log: Path) -> list[dict[str, Any]]:
    """Those that are whole. Raises ValueError where one is not JSON."""
    whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole]
