"""What `make` would do, by its dry run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing is installed."""
    for name in ("Makefile", "pyproject.toml", "constraints-cpu.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    return tmp_path


def install(checkout: Path, backend: str) -> None:
    (checkout / ".venv" / ".installed").write_text(f"{backend}\n")


def would_do(checkout: Path, *words: str, **environment: str) -> str:
    plain = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", "--dry-run", *words],
        cwd=checkout,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("", ["install"]),
        ("cu128", ["install"]),
        ("cu128", ["install", "TORCH_BACKEND=cu128"]),
        ("cu128", ["run"]),
    ],
)
def test_what_is_installed_stays(checkout: Path, backend: str, words: list[str]) -> None:
    install(checkout, backend)
    assert "pip install" not in would_do(checkout, *words)


@pytest.mark.parametrize("backend", ["", "cpu"])
def test_another_torch_backend_is_installed_over_it(checkout: Path, backend: str) -> None:
    install(checkout, backend)
    done = would_do(checkout, "install", "TORCH_BACKEND=auto")
    assert "uv pip install --torch-backend=auto --reinstall-package torch" in done


def test_new_requirements_keep_the_torch_backend(checkout: Path) -> None:
    install(checkout, "cu128")
    os.utime(checkout / ".venv" / ".installed", (0, 0))
    assert "uv pip install --torch-backend=cu128  --editable" in would_do(checkout, "run")


@pytest.mark.parametrize(
    ("words", "environment", "command"),
    [
        (["run"], {"DARKROOM_PORT": "8123"}, "darkroom run"),
        (["run", "PORT=8123"], {}, "darkroom run --port 8123"),
        (
            ["run", "PORT=8123", "METRICS_PORT=9123"],
            {},
            "darkroom run --port 8123 --metrics-port 9123",
        ),
        (["load"], {"DARKROOM_PORT": "8123"}, "--url http://127.0.0.1:8123"),
        (["load"], {}, "--url http://127.0.0.1:8000"),
    ],
)
def test_ports_are_passed_on_where_they_are_given(
    checkout: Path, words: list[str], environment: dict[str, str], command: str
) -> None:
    install(checkout, "")
    assert would_do(checkout, *words, **environment).strip().endswith(command)
