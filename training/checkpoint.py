"""The state of an unfinished stage on disk: enough to go on as if it had never stopped."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.errors import TrainingError
from training.files import digest, write_whole

STATE = "state.bin"  # the SHA-256 of what follows, in hexadecimal, and what torch.save wrote
DIGEST_BYTES = 64


@dataclass(slots=True)
class Saved:
    """What a step needs and no recipe says. Chance is no part of it: see `order`."""

    fingerprint: str
    step: int  # steps done
    seconds: float  # spent on them
    model: dict[str, Tensor]
    average: list[Tensor]
    optimiser: dict[str, Any]
    peak_memory_bytes: int = 0  # so far; checkpoints of before it was kept lack it
    peak_vram_bytes: int = 0


def save(saved: Saved, folder: Path) -> None:
    """Replaces the folder's checkpoint, whole or not at all.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({name: getattr(saved, name) for name in Saved.__slots__}, buffer)
    content = buffer.getvalue()
    write_whole(folder / STATE, digest(content).encode() + content)


def load(folder: Path, fingerprint: str) -> Saved | None:
    """The folder's checkpoint; None where there is none.

    Raises:
        TrainingError: it is damaged, or another recipe, seed or data set wrote it.
    """
    path = folder / STATE
    if not path.exists():
        return None
    written = path.read_bytes()
    content = written[DIGEST_BYTES:]
    if digest(content).encode() != written[:DIGEST_BYTES]:
        raise TrainingError(
            f"{path} is damaged: delete it to begin this stage again; finished stages are kept."
        )
    saved = Saved(**torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    if saved.fingerprint != fingerprint:
        raise TrainingError(
            f"{path} belongs to another recipe, seed or data set ({saved.fingerprint}, but this "
            f"run is {fingerprint}): run with what began it, or delete it to begin again."
        )
    return saved
