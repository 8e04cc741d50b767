"""A worker with a mechanism taken out, or stopped at the worst moment, as its environment says.

WITHOUT         mechanisms to take out: `fence`, `sweep`, both with a comma between them
SHORT_LEASES    if set, leases run out and are looked for five times as soon
FREEZE_FILE     where this file exists, its first finder deletes it and freezes (SIGSTOP) between
                the store's write and the commit; its process id then stands in `FREEZE_FILE.pid`
HANG_ON_STOP    if set, a stop hangs, and is found to hang after a second
HANGING         what hangs for ever once it is called: one of `HANGS`
BROKEN          if set, the device is out of memory at every call
POISON          the seed of a picture whose first step kills the process (SIGKILL)
"""

import os
import signal
from collections.abc import Hashable
from pathlib import Path
from threading import Event, Lock

import torch

import worker.batch_worker
import worker.sweeper
from contract import claims, endings, leases
from contract.errors import GenerationError
from contract.job import JobResult
from contract.transactions import Claim
from worker.engine.batch import Batch
from worker.engine.model import Model
from worker.intake import Intake
from worker.publish import Publisher

WITHOUT, SHORT_LEASES, FREEZE_FILE = "WITHOUT", "SHORT_LEASES", "FREEZE_FILE"
HANG_ON_STOP, HANGING, BROKEN, POISON = "HANG_ON_STOP", "HANGING", "BROKEN", "POISON"
HANGS = {"Model.predict": Model, "Intake.join_ready": Intake}
commit, step = endings.commit, Batch.step


def _freeze_first(claim: Claim, result: JobResult) -> None:
    wanted = Path(os.environ[FREEZE_FILE])
    try:
        wanted.unlink()
    except FileNotFoundError:
        return commit(claim, result)
    note = wanted.with_suffix(".pid")
    note.with_suffix(".new").write_text(str(os.getpid()), encoding="utf-8")
    note.with_suffix(".new").rename(note)
    os.kill(os.getpid(), signal.SIGSTOP)
    return commit(claim, result)


def _wait_for_oneself(_: Publisher) -> None:
    lock = Lock()
    with lock:
        lock.acquire()


def _hang(*_: object) -> None:
    Event().wait()


def _refuse(*_: object) -> None:
    raise torch.OutOfMemoryError("out of memory")


def _step_or_die(batch: Batch) -> dict[Hashable, GenerationError]:
    if any(row.picture.seed == int(os.environ[POISON]) and row.step == 0 for row in batch.rows):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(batch)


def hook() -> None:
    without = os.environ.get(WITHOUT, "").split(",")
    if "fence" in without:
        claims.is_held = endings.is_held = lambda claim, connection: True
    if "sweep" in without:
        worker.sweeper.sweep = lambda queue: []
    if SHORT_LEASES in os.environ:
        leases.LEASE_TTL_MS = 2_000
        worker.sweeper.INTERVAL_S = 0.5
    if FREEZE_FILE in os.environ:
        endings.commit = _freeze_first
    if HANGING in os.environ:
        name = os.environ[HANGING]
        setattr(HANGS[name], name.partition(".")[2], _hang)
    if BROKEN in os.environ:
        Model.predict = _refuse  # type: ignore[assignment,method-assign]
    if POISON in os.environ:
        Batch.step = _step_or_die  # type: ignore[method-assign]
    if HANG_ON_STOP in os.environ:
        worker.batch_worker.DRAIN_LIMIT_S = 1
        Publisher.close = _wait_for_oneself  # type: ignore[method-assign]
