"""Pictures as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from darkroom.client.errors import CannotSave

Format = Literal["png", "jpeg", "webp"]
FORMATS: Mapping[str, Format] = MappingProxyType(
    {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
)
"""A file's name says what is in it."""


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
        CannotSave: they cannot be written, or are not what the file's name says.
    """
    paths = numbered(output, len(contents))
    for content in contents:
        _require_named(output, content)
    for path, content in zip(paths, contents, strict=True):
        try:
            path.write_bytes(content)
        except OSError as error:
            raise CannotSave(f"{path}: {error.strerror}.") from error
    return paths


def _require_named(output: Path, content: bytes) -> None:
    """A name that tells of no format fits all."""
    named, held = FORMATS.get(output.suffix.lower()), _format_of(content)
    if named is not None and held is not None and named != held:
        raise CannotSave(
            f"{output}: the picture is a {held}. Name the file so, or ask for format={named!r}."
        )


def _format_of(content: bytes) -> Format | None:
    """By its first bytes; None where these are none that we know."""
    if content.startswith(b"\x89PNG"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None
