"""What is written is whole, and what was there is not lost."""

from pathlib import Path

import pytest

from training.errors import TrainingError
from training.files import write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file in it."""
    write_folder(tmp_path / "part", lambda to: fill(to, "old"))
    return tmp_path / "part"


def fill(folder: Path, content: str) -> None:
    (folder / "weights").write_text(content, encoding="utf-8")


def content(folder: Path) -> str:
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]
    return (folder / "weights").read_text(encoding="utf-8")


def test_a_folder_takes_the_other_ones_place(folder: Path) -> None:
    write_folder(folder, lambda to: fill(to, "new"))
    assert content(folder) == "new"


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("No space left")])
def test_what_cannot_be_written_leaves_the_old_folder(folder: Path, error: Exception) -> None:
    def fail(to: Path) -> None:
        fill(to, "half")
        raise error

    with pytest.raises(TrainingError, match=r"No space left\): make room there"):
        write_folder(folder, fail)
    assert content(folder) == "old"


def test_a_swap_that_fails_leaves_the_old_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            raise OSError(5, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(TrainingError, match="Input/output error"):
        write_folder(folder, lambda to: fill(to, "new"))
    assert content(folder) == "old"
