"""The `darkroom` command, as its users type it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from darkroom.cli import main
from tests.checkpoints import build_checkpoint
from tests.e2e.conftest import ROOT, STARTER, free_port
from tests.waiting import until

ASKED = ["--steps", "6", "--seed", "3", "--sampler", "euler"]


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_CHECKPOINT", str(STARTER))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.usefixtures("starter")
def test_a_service_and_this_process_make_the_same_picture(
    service: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, here = tmp_path / "there.png", tmp_path / "here.png"
    main(["generate", "rocket", "-o", str(there), "--url", str(service.base_url), *ASKED])
    main(["generate", "rocket", "-o", str(here), "--in-process", *ASKED])
    assert f"{there} (seed 3)" in capsys.readouterr().out
    assert np.abs(pixels(there) - pixels(here)).max() <= 1


def test_several_pictures_get_numbered_names(service: httpx.Client, tmp_path: Path) -> None:
    output = tmp_path / "fox.png"
    url = str(service.base_url)
    main(["generate", "fox", "-o", str(output), "--url", url, "--images", "2", *ASKED])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fox-0.png", "fox-1.png"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "999"], "steps: Input should be less than or equal to 150"),
        (["--sampler", "magic"], "sampler: Unknown sampler; valid samplers are lms"),
        (["--url", "http://127.0.0.1:1"], "http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["generate", "rocket", *arguments])
    assert end.value.code == 2
    assert f"darkroom: {sentence}" in capsys.readouterr().err


def test_what_the_service_refuses_is_said(
    service: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "rocket", "--url", str(service.base_url), "--width", "1024"])
    assert "unsupported_size: width: width must be" in capsys.readouterr().err


def test_run_brings_everything_up_and_takes_it_down(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    checkpoint = build_checkpoint(tmp_path / "tiny")
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    environment |= {"DARKROOM_CHECKPOINT": str(checkpoint), "DARKROOM_THREADS": "1"}
    command = ["run", "--port", str(port), "--metrics-port", str(metrics_port)]
    said = tmp_path / "said"
    with said.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "darkroom", *command, "--data", str(tmp_path / "data")],
            env=environment,
            cwd=ROOT,
            stdout=output,
        )
    try:
        until(lambda: b"Ctrl-C stops it" in said.read_bytes())
        text = said.read_text()
        assert f"curl -s http://127.0.0.1:{port}/generate" in text
        body = {"prompt": "anything", "steps": 2}
        picture = httpx.post(
            f"http://127.0.0.1:{port}/generate", json=body, headers={"Accept": "image/png"}
        )
        assert picture.headers["content-type"] == "image/png"
        metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
        assert "darkroom_pictures_total 1.0" in metrics
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_run_names_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit):
            main(["run", "--port", port, "--metrics-port", str(free_port())])
    assert f"darkroom: PORT: port {port} cannot be used" in capsys.readouterr().err
