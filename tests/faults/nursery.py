"""Real worker processes that are there at once: forked from a process that has imported torch and
all else that a worker needs, where each would take seconds for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_context = get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.hooked_worker", "worker.main", "worker.tasks"])


class WorkerProcess:
    """As far as the tests need it, what `subprocess.Popen` is."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path | None):
        self._process: ForkServerProcess = _context.Process(
            target=_live, args=(name, dict(environment), log)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code; minus the signal where one killed it; None while it lives."""
        return self._process.exitcode

    def wait(self, timeout_s: float) -> int:
        """
        Raises:
            subprocess.TimeoutExpired: it lives on.
        """
        self._process.join(timeout_s)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout_s)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _live(name: str, environment: dict[str, str], log: Path | None) -> None:
    """In the new process."""
    from darkroom.cli import main
    from tests.faults.hooked_worker import hook

    os.setsid()
    os.environ.update(environment)
    if log is not None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), sys.stderr.fileno())
    hook()
    main(["worker", "--name", name])
