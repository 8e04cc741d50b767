"""Pictures as files."""

from collections.abc import Sequence
from pathlib import Path

from darkroom.client.errors import CannotSave


def numbered(output: Path, count: int) -> list[Path]:
    """The files of so many pictures: several get numbered names."""
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{n}{output.suffix}") for n in range(count)]


def require_writable(paths: Sequence[Path]) -> None:
    """Before any work is done: it would be lost.

    Raises:
        CannotSave: there is no such directory, or a directory in the way.
    """
    for path in paths:
        if not path.parent.is_dir():
            raise CannotSave(f"{path}: there is no directory {path.parent}.")
        if path.is_dir():
            raise CannotSave(f"{path}: that is a directory.")


def save(output: Path, contents: Sequence[bytes]) -> list[Path]:
    """Writes the pictures and returns their files.

    Raises:
        CannotSave: they cannot be written.
    """
    paths = numbered(output, len(contents))
    for path, content in zip(paths, contents, strict=True):
        try:
            path.write_bytes(content)
        except OSError as error:
            raise CannotSave(f"{path}: {error.strerror}.") from error
    return paths
