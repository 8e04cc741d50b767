"""Files and folders that are whole or not there at all, whatever happens while they are written."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside `path`, waits for the disk, then renames.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk refuses in here is said of `path`.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Lets `fill` write a new folder beside `folder`, then puts it in its place.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written; or `fill` raises it.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        beside.mkdir(parents=True)
        fill(beside)
        _swap(folder, beside)
    except TrainingError:
        raise
    except Exception as error:  # the writers of weights raise no OSError where the disk is full
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(folder: Path, beside: Path) -> None:
    """Puts one folder in the other's place, or leaves that one where it is."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.replace(old)
    try:
        beside.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _cannot_write(path: Path, error: Exception) -> TrainingError:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return TrainingError(
        f"{path} could not be written ({reason}): make room there or choose another folder, then "
        "run the same command again; what was finished or saved before is kept."
    )
