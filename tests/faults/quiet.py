"""What each request gives when nothing disturbs it."""

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import worker  # noqa: F401  (before torch: it sets how OpenMP waits)
from contract import identity
from contract.request import JobRequest
from worker.alone import develop_alone
from worker.development import Development
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import load_model
from worker.tables import TableCache

PIXEL_LIMIT = 1  # of 255: what company in a batch may change


class QuietRun:
    """Develops each request once."""

    def __init__(self, checkpoint: Path):
        torch.set_num_threads(1)  # as the workers have
        model = load_model(checkpoint, torch.device("cpu"), torch.float32)
        self._engine = Engine(model, RowBudget(8, model.native_shape))
        self._tables = TableCache(model.scheduler_config)
        self._known: dict[str, list[NDArray[np.uint8]]] = {}

    def wrong(self, request: JobRequest, pictures: list[bytes]) -> int:
        """How many of the pictures are not what the request gives."""
        expected = self._pictures(request)
        assert len(pictures) == len(expected)
        differences = (
            np.abs(_pixels(png).astype(int) - right.astype(int)).max()
            for png, right in zip(pictures, expected, strict=True)
        )
        return sum(bool(difference > PIXEL_LIMIT) for difference in differences)

    def _pictures(self, request: JobRequest) -> list[NDArray[np.uint8]]:
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
