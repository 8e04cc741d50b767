"""Where torch is told to keep what it compiles."""

import importlib.util
import logging
import os
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import cache_dir

from contract.errors import BadSetting
from worker.compilation import CACHE_VARIABLE, broken_library, keep_compiled


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder; torch's own variable is unset, and again so afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, "")
    monkeypatch.delenv(CACHE_VARIABLE)
    return tmp_path


def test_it_is_kept_in_the_users_cache_folder_where_only_they_can_write(home: Path) -> None:
    keep_compiled(None)
    folder = home / "darkroom" / "compiled"
    assert os.environ[CACHE_VARIABLE] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_is_kept_in_the_folder_asked_for(tmp_path: Path) -> None:
    os.environ[CACHE_VARIABLE] = "/elsewhere"
    keep_compiled(tmp_path / "a" / "b")
    assert os.environ[CACHE_VARIABLE] == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_torchs_own_variable_wins_over_the_default() -> None:
    os.environ[CACHE_VARIABLE] = "/elsewhere"
    keep_compiled(None)
    assert os.environ[CACHE_VARIABLE] == "/elsewhere"


def test_what_torch_itself_sets_when_it_is_loaded_is_no_choice(home: Path) -> None:
    cache_dir()
    assert CACHE_VARIABLE in os.environ
    keep_compiled(None)
    assert os.environ[CACHE_VARIABLE] == str(home / "darkroom" / "compiled")


def test_a_folder_asked_for_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match=r"^DARKROOM_COMPILE_CACHE is .*/file/x, but .*\.$"):
        keep_compiled(tmp_path / "file" / "x")


def test_a_default_that_cannot_be_stops_no_start(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "darkroom").touch()
    with caplog.at_level(logging.WARNING):
        keep_compiled(None)
    assert CACHE_VARIABLE not in os.environ
    assert "kept in its own place" in caplog.text


def half_a_library(folder: Path) -> ImportError:
    """What Python says of one that a killed compiler left behind."""
    path = folder / "half.so"
    path.write_bytes(b"\x7fELF")
    spec = importlib.util.spec_from_file_location("half", path)
    assert spec is not None
    with pytest.raises(ImportError) as caught:
        importlib.util.module_from_spec(spec)
    return caught.value


def test_half_a_library_in_the_cache_is_found_out(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    keep_compiled(cache)
    assert broken_library(half_a_library(cache)) == cache / "half.so"


def test_no_file_is_touched_that_is_not_in_the_cache(tmp_path: Path) -> None:
    keep_compiled(tmp_path / "cache")
    assert broken_library(half_a_library(tmp_path)) is None
    assert broken_library(RuntimeError("no C++ compiler")) is None
