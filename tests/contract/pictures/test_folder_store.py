"""Files on a real disk, with real kills and a real lack of room."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.errors import StoreUnavailable
from contract.pictures.folder_store import LAST_SWEEP, FolderStore
from contract.pictures.store import digest_of
from tests.contract.samples import TTL_S

PICTURE = b"\x89PNG" * 5000
NOBODY = 65534


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, TTL_S)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != LAST_SWEEP)


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def sweep(store: FolderStore, root: Path) -> None:
    """One that is due."""
    (root / LAST_SWEEP).unlink(missing_ok=True)
    store.sweep()


def test_a_picture_that_is_renewed_is_young_again(store: FolderStore, tmp_path: Path) -> None:
    digest = store.put(PICTURE)
    age(files(tmp_path)[0], TTL_S + 10)
    store.renew([digest, "0" * 64])
    sweep(store, tmp_path)
    assert store.get(digest) == PICTURE


def elsewhere(code: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own that has a store and a picture."""
    prelude = f"""
import os, resource, signal
from pathlib import Path
from contract.errors import StoreUnavailable
from contract.pictures.folder_store import FolderStore
store = FolderStore(Path({str(root)!r}), {TTL_S})
picture = b"\\x89PNG" * 5000
"""
    return subprocess.run(
        [sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=60
    )


def test_a_picture_stands_two_folders_deep_under_its_digest(
    store: FolderStore, tmp_path: Path
) -> None:
    digest = store.put(PICTURE)
    store.put(PICTURE)
    assert files(tmp_path) == [tmp_path / digest[:2] / digest[2:4] / digest]


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_served(
    store: FolderStore, tmp_path: Path
) -> None:
    kill = "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
    done = elsewhere(
        f"{kill}store._make_folder = lambda folder: folder.mkdir(parents=True)\nstore.put(picture)",
        tmp_path,
    )
    assert done.returncode == -signal.SIGKILL
    (left,) = files(tmp_path)
    assert ".unfinished-" in left.name
    assert store.get(digest_of(PICTURE)) is None
    sweep(store, tmp_path)
    assert files(tmp_path) == [left]  # its writer may still live
    age(left, 3600)
    sweep(store, tmp_path)
    assert files(tmp_path) == []
    assert store.get(store.put(PICTURE)) == PICTURE


def test_a_full_disk_keeps_no_half(store: FolderStore, tmp_path: Path) -> None:
    done = elsewhere(
        """
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # bytes of a file
try:
    store.put(picture)
except StoreUnavailable as error:
    print(type(error.__cause__).__name__)
""",
        tmp_path,
    )
    assert done.stdout == "OSError\n", done.stderr
    assert files(tmp_path) == []
    assert store.get(digest_of(PICTURE)) is None


def test_a_folder_that_is_read_only_is_read_and_not_written_to() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        digest = FolderStore(root, TTL_S).put(PICTURE)
        for each in (root, root / digest[:2], root / digest[:2] / digest[2:4]):
            each.chmod(0o555)
        done = elsewhere(
            f"""
if os.geteuid() == 0:  # whom no mode stops
    os.setuid({NOBODY})
assert store.get({digest!r}) == picture
for content in (picture, b"another"):
    try:
        store.put(content)
    except StoreUnavailable as error:
        print(type(error.__cause__).__name__)
try:
    store.sweep()
except StoreUnavailable as error:
    print("not swept")
""",
            root,
        )
        assert done.stdout == "PermissionError\n" * 2 + "not swept\n", done.stderr


def test_what_is_older_than_the_ttl_is_swept(store: FolderStore, tmp_path: Path) -> None:
    old, young = store.put(b"old"), store.put(b"young")
    age(store._path(old), TTL_S + 60)
    (tmp_path / "aa").mkdir(exist_ok=True)
    (tmp_path / "notes.txt").write_text("not ours")
    sweep(store, tmp_path)
    assert store.get(old) is None
    assert store.get(young) == b"young"
    assert (tmp_path / "notes.txt").exists()


def test_a_picture_that_is_put_again_begins_its_age_anew(
    store: FolderStore, tmp_path: Path
) -> None:
    digest = store.put(b"a")
    age(store._path(digest), TTL_S + 60)
    store.put(b"a")
    sweep(store, tmp_path)
    assert store.get(digest) == b"a"


def test_a_put_between_a_sweeps_look_and_its_removal_is_not_lost(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(b"a")
    age(store._path(digest), TTL_S + 60)
    bury = store._bury

    def late(path: Path, picture: Path, now: float) -> None:
        store.put(b"a")
        bury(path, picture, now)

    monkeypatch.setattr(store, "_bury", late)
    sweep(store, tmp_path)
    assert store.get(digest) == b"a"
    assert len(files(tmp_path)) == 1


def test_a_sweep_that_died_with_a_young_picture_in_its_hand_is_made_good(
    store: FolderStore, tmp_path: Path
) -> None:
    young, old = store.put(b"young"), store.put(b"old")
    for digest in (young, old):
        path = store._path(digest)
        path.rename(path.with_name(f"{digest}.gone-0123"))
    age(store._path(old).with_name(f"{old}.gone-0123"), TTL_S + 60)
    sweep(store, tmp_path)
    assert store.get(young) == b"young"
    assert len(files(tmp_path)) == 1


def test_sweeps_of_many_processes_are_one(store: FolderStore, tmp_path: Path) -> None:
    digest = store.put(b"a")
    store.sweep()
    age(store._path(digest), TTL_S + 60)
    FolderStore(tmp_path, TTL_S).sweep()
    assert store.get(digest) == b"a"
    age(tmp_path / LAST_SWEEP, TTL_S)
    FolderStore(tmp_path, TTL_S).sweep()
    assert store.get(digest) is None


def test_a_damaged_file_is_as_good_as_none_and_is_made_whole(
    store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    digest = store.put(PICTURE)
    store._path(digest).write_bytes(PICTURE[:100])
    assert store.get(digest) is None
    assert digest in caplog.text
    store.put(PICTURE)
    assert store.get(digest) == PICTURE


def test_a_folder_that_is_gone_is_not_taken_for_pictures_that_are_gone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "unmounted", TTL_S)
    for attempt in (lambda: store.get("0" * 64), lambda: store.put(b"a"), store.sweep):
        with pytest.raises(StoreUnavailable):
            attempt()
    assert not (tmp_path / "unmounted").exists()


def test_many_threads_may_put_the_same_picture(store: FolderStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(store.put, [PICTURE] * 16))
        assert len(digests) == 1
        assert set(pool.map(store.get, list(digests) * 16)) == {PICTURE}
