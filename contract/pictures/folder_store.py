"""Pictures as files in a folder that all processes share."""

import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from contract.errors import StoreUnavailable
from contract.pictures.store import digest_of, verified

SWEEP_INTERVAL_S = 300.0
"""Between two sweeps, whichever processes ask for them."""

UNFINISHED_S = 600.0
"""A temporary file of this age has no writer any more."""

LAST_SWEEP = ".swept"
UNFINISHED, GRAVE = "unfinished", "gone"
NAME = re.compile(rf"(?P<digest>[0-9a-f]{{64}})(\.(?P<state>{UNFINISHED}|{GRAVE})-[0-9a-f]+)?")

logger = logging.getLogger(__name__)


class FolderStore:
    """`aa/bb/aabb…`: the digest is the name. A file gets its name when it is whole and on the disk,
    so nobody ever sees a half of one."""

    def __init__(self, root: Path, ttl_s: int):
        self._root = root
        self._ttl_s = ttl_s

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        try:
            self._write(self._path(digest), content)
        except OSError as error:
            raise StoreUnavailable("The folder of the pictures cannot be written to.") from error
        return digest

    def renew(self, digests: Sequence[str]) -> None:
        self.keep(digests)

    def keep(self, digests: Sequence[str]) -> bool:
        found = 0
        try:
            for digest in digests:
                with suppress(FileNotFoundError):
                    os.utime(self._path(digest))
                    found += 1
        except OSError as error:
            raise StoreUnavailable("The folder of the pictures cannot be written to.") from error
        return found == len(digests)

    def delete(self, digests: Sequence[str]) -> None:
        try:
            for digest in digests:
                self._path(digest).unlink(missing_ok=True)
            self._root.stat()  # or what is not mounted would count as removed
        except OSError as error:
            raise StoreUnavailable("The folder of the pictures cannot be written to.") from error

    def get(self, digest: str) -> bytes | None:
        try:
            return verified(self._path(digest).read_bytes(), digest)
        except FileNotFoundError as error:
            if self._root.is_dir():
                return None
            raise StoreUnavailable("The folder of the pictures is not there.") from error
        except OSError as error:
            raise StoreUnavailable("The folder of the pictures cannot be read.") from error

    def sweep(self) -> None:
        """Removes old pictures, and what killed processes left behind. Does nothing where some
        process has done so lately."""
        try:
            now = self._begin_sweep()
            if now is not None:
                for path in self._files():
                    self._remove_old(path, now)
        except OSError as error:
            raise StoreUnavailable("The folder of the pictures cannot be swept.") from error

    def close(self) -> None:
        """Nothing to do."""

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:4] / digest

    def _write(self, path: Path, content: bytes) -> None:
        """Always anew, also where it is there already: its age begins again, and a file that was
        damaged is whole again."""
        self._make_folder(path.parent)
        unfinished = _beside(path, UNFINISHED)
        try:
            with open(unfinished, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        _sync_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Never the root: where that is missing, its disk is not mounted."""
        for each in (folder.parent, folder):
            with suppress(FileExistsError):
                each.mkdir()
                _sync_folder(each.parent)

    def _begin_sweep(self) -> float | None:
        """The time by the clock that also dates the files; None where no sweep is due."""
        marker = self._root / LAST_SWEEP
        with suppress(FileNotFoundError):
            age = time.time() - marker.stat().st_mtime
            if 0 <= age < min(SWEEP_INTERVAL_S, self._ttl_s):
                return None
        marker.touch()
        return marker.stat().st_mtime

    def _files(self) -> Iterator[Path]:
        for outer in _folders(self._root):
            for inner in _folders(outer):
                with os.scandir(inner) as entries:
                    yield from [Path(entry.path) for entry in entries]

    def _remove_old(self, path: Path, now: float) -> None:
        """What is not of our making is left alone."""
        named = NAME.fullmatch(path.name)
        if named is None:
            return
        try:
            if named["state"] == UNFINISHED:
                if _age(path, now) > UNFINISHED_S:
                    path.unlink()
            elif named["state"] == GRAVE or _age(path, now) > self._ttl_s:
                self._bury(path, path.with_name(named["digest"]), now)
        except FileNotFoundError:
            pass  # another process was quicker
        except OSError as error:
            logger.warning("%s cannot be removed: %s", path, error.strerror)

    def _bury(self, path: Path, picture: Path, now: float) -> None:
        """A put may come between the look at a file's age and its removal. So it is taken out of
        sight first and looked at again: what turns out to be new is put back, now or, where this
        process dies in between, by the next sweep."""
        grave = _beside(picture, GRAVE)
        path.rename(grave)
        if _age(grave, now) > self._ttl_s:
            grave.unlink()
        else:
            grave.rename(picture)


def _beside(picture: Path, state: str) -> Path:
    return picture.with_name(f"{picture.name}.{state}-{secrets.token_hex(8)}")


def _age(path: Path, now: float) -> float:
    return now - path.stat().st_mtime


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return len(entry.name) == 2 and entry.is_dir()


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
