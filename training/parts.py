"""Finished stages: each a folder of float16 weights, small enough to be committed.

A part is written whole or not at all, with `stage.json` beside its weights: which recipe made it,
how long that took and what was measured. A finished stage is not run again.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.files import digest, write_folder

NOTE, CONFIG = "stage.json", "config.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """What stands in a part's `stage.json`."""

    stage: str
    fingerprint: str  # of recipe, seed and what the stage was built on
    steps: int
    seconds: float
    measured: Mapping[str, float]
    peak_memory_bytes: int = 0  # resident, of the process; 0 where it was not measured
    peak_vram_bytes: int = 0  # of tensors; 0 without a GPU


def publish(folder: Path, finished: Finished, fill: Callable[[Path], None]) -> None:
    """Lets `fill` write the part's files, adds the note, and puts the folder in its place.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """

    def complete(beside: Path) -> None:
        fill(beside)
        text = json.dumps(asdict(finished), indent=2) + "\n"
        (beside / NOTE).write_text(text, encoding="utf-8")

    write_folder(folder, complete)


def finished(folder: Path, fingerprint: str) -> Finished | None:
    """The note of a part that this recipe made; None where the stage is still to be run.

    Raises:
        TrainingError: the part is damaged, or another recipe made it.
    """
    if not folder.exists():
        return None
    found = read_note(folder)
    if found.fingerprint != fingerprint:
        raise TrainingError(
            f"{folder} was made by another recipe, seed or data set ({found.fingerprint}, but this "
            f"run is {fingerprint}): run with what made it, or name other folders with --models "
            "and --work."
        )
    return found


def read_note(folder: Path) -> Finished:
    try:
        return Finished(**_read(folder / NOTE))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"{folder} has no readable {NOTE}: delete the folder, and the next run makes it again."
        ) from error


def weights_of(folder: Path) -> list[Path]:
    """The files of weights in a folder and below it, always in the same order."""
    return sorted(folder.rglob("*.safetensors"))


def weights_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in weights_of(folder))


def weights_digest(folder: Path) -> str:
    """SHA-256 of a part's weights, whichever machine and run made them."""
    return digest(b"".join(file.read_bytes() for file in weights_of(folder)))


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """What goes wrong in here says that the folder is not what it should be.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:  # each library has its own for a damaged file
        raise TrainingError(
            f"{folder} is missing or damaged ({type(error).__name__}): bring it back from git, or "
            "delete it and run its stage of the training again."
        ) from error


def save_half(module: Any, folder: Path) -> None:
    """A module of diffusers or transformers as float16 safetensors; the module itself changes.

    transformers would load in the dtype that it wrote, diffusers loads in float32: so that a
    pipeline's parts agree, the configuration says float32. Nor does it say, as diffusers would,
    from which folder the module once came.
    """
    module.half().save_pretrained(str(folder), safe_serialization=True)
    config = _read(folder / CONFIG)
    config.pop("_name_or_path", None)
    if "dtype" in config:
        config["dtype"] = "float32"
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
