"""A worker process with a simulated device: all of worker/ but the engine, without torch.

    python benchmarks/simulated_worker.py --model NAME [--table FILE] [--family NAME]
        [--slow-down FACTOR] [--rows 32]

Its settings are a worker's, from the environment. Its pictures are one picture, compressed once for
all, since the machines of a real fleet have cores for that; what a picture says of itself, its seed
among it, is its own, so each has its own digest.
"""

import argparse
import logging
import os
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from simulated.engine import PIXELS_PER_CELL, SimulatedEngine, SimulatedTables
from simulated.step_times import FAMILY, TABLE, StepTimes

from contract.connections import START_PATIENCE_S, connect, require_redis
from contract.infotext import recipe
from contract.queue import model_queue
from contract.request import JobRequest
from contract.samplers import SAMPLERS
from contract.settings import load_settings
from contract.workers import ModelCard, SamplerCard, WorkerCard
from worker import development, encoding
from worker.batch_worker import BatchWorker
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings

HEAD_BYTES = 33  # of a PNG: its signature and its header
PATCH = 8  # pixels between two random colours, which are blended


class PreparedPicture:
    """In the place of `worker.encoding.encode`: about 460 KB at 512x512, as a photograph has."""

    def __init__(self, side: int):
        colours = np.random.default_rng(0).integers(0, 256, (side // PATCH, side // PATCH, 3))
        smooth = Image.fromarray(colours.astype(np.uint8)).resize((side, side), Image.BICUBIC)
        plain = JobRequest(prompt="a", model="a", seed=0, width=side, height=side, metadata=False)
        content = encoding.encode(np.asarray(smooth), plain, 0, "")
        self._head, self._body = content[:HEAD_BYTES], content[HEAD_BYTES:]

    def __call__(
        self, pixels: NDArray[np.uint8], request: JobRequest, n: int, model_fingerprint: str
    ) -> bytes:
        text = b"iTXtdarkroom\0\0\0\0\0" + recipe(request, n, model_fingerprint).encode()
        length, check = struct.pack(">I", len(text) - 4), struct.pack(">I", zlib.crc32(text))
        return b"".join((self._head, length, text, check, self._body))


def work(engine: SimulatedEngine, settings: WorkerSettings) -> None:
    """As `worker.main.run_worker`."""
    connection = connect(settings.redis_url, timeout_s=BatchWorker.connection_timeout)
    require_redis(connection, START_PATIENCE_S)
    tables: Any = SimulatedTables()
    metrics = WorkerMetrics(cast("Any", engine), tables)
    server, port = metrics.serve(settings.metrics_host, settings.metrics_port)
    try:
        queue = model_queue(connection, engine.model.name)
        cards = worker_card(engine, settings, port), model_card(engine)
        BatchWorker(queue, cast("Any", engine), tables, metrics, settings, *cards).work()
    finally:
        server.shutdown()
        connection.close()


def model_card(engine: SimulatedEngine) -> ModelCard:
    side = PIXELS_PER_CELL * engine.model.native_shape[0]
    return ModelCard(
        id=engine.model.name,
        width=side,
        height=side,
        min_side=side,
        max_side=side,
        side_multiple=PIXELS_PER_CELL,
        token_limit=77,
        prediction_type="epsilon",
        fingerprint=engine.model.fingerprint,
        samplers={name: SamplerCard(max_steps=150) for name in SAMPLERS},
        seen_at=time.time(),
    )


def worker_card(engine: SimulatedEngine, settings: WorkerSettings, metrics_port: int) -> WorkerCard:
    return WorkerCard(
        name=settings.worker_name,
        model=engine.model.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        device="simulated",
        dtype="float16",
        rows=engine.budget.native_rows,
        metrics_port=metrics_port,
        started_at=time.time(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--family", default=FAMILY)
    parser.add_argument("--slow-down", type=float, default=1.0)
    parser.add_argument("--rows", type=int, default=32, help="the row budget")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    times = StepTimes.read(options.table, options.family, options.slow_down)
    engine = SimulatedEngine(options.model, times, options.rows)
    development.encode = PreparedPicture(PIXELS_PER_CELL * times.cells)
    work(engine, load_settings(WorkerSettings, metrics_port=0))


if __name__ == "__main__":
    main()
