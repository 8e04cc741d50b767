"""Waiting for processes that a benchmark has started."""

import subprocess

import httpx


def is_ready(address: str, *, with_workers: bool = False) -> bool:
    """Whether the API there can accept work; and, if asked, has a worker that does it."""
    try:
        answer = httpx.get(f"{address}/readyz", timeout=2.0)
    except httpx.HTTPError:
        return False
    return answer.is_success and (not with_workers or bool(answer.json()["workers"]))


def expect(process: "subprocess.Popen[str]", told: str) -> None:
    """
    Raises:
        RuntimeError: its next line is another.
    """
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line != told:
        raise RuntimeError(f"the load said {line!r} instead of {told!r}")
