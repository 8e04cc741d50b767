"""The `darkroom` command, as its users type it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from contract.connections import connect
from contract.job import JobState, read_job
from darkroom.cli import main
from darkroom.embedded_redis import embedded_redis, free_url
from tests.address import free_port
from tests.checkpoints import build_checkpoint
from tests.service import ROOT, STARTER
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
        (["--guidance-stop", "0"], "guidance_stop: guidance_start must be less than"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["generate", "rocket", *arguments])
    assert end.value.code == 2
    assert f"darkroom: {sentence}" in capsys.readouterr().err


def test_a_service_that_is_away_is_one_sentence_and_exit_code_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["generate", "rocket", "--url", "http://127.0.0.1:1"])
    assert end.value.code == 3
    assert "darkroom: http://127.0.0.1:1 cannot be reached" in capsys.readouterr().err


def test_what_the_service_refuses_is_said(
    service: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "rocket", "--url", str(service.base_url), "--width", "1024"])
    assert "unsupported_size: width: width must be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("missing/x.png", "missing/x.png: there is no directory missing."),
        ("x.gif", "x.gif: the file's name must end in one of .png .jpg .jpeg .webp."),
        ("folder.png", "folder.png: that is a directory."),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    output: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["generate", "rocket", "-o", output, "--url", "http://127.0.0.1:1"])
    assert end.value.code == 2
    assert f"darkroom: {sentence}" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_sentence(
    service: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full.png"
    full.symlink_to("/dev/full")
    with pytest.raises(SystemExit) as end:
        main(["generate", "rocket", "-o", str(full), "--url", str(service.base_url), *ASKED])
    assert end.value.code == 2
    assert f"darkroom: {full}: No space left on device." in capsys.readouterr().err


def test_the_service_that_the_settings_name_is_asked(
    service: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DARKROOM_PORT", str(service.base_url.port))
    monkeypatch.setenv("DARKROOM_CHECKPOINT", str(tmp_path / "none"))
    main(["generate", "rocket", "-o", str(tmp_path / "there.png"), *ASKED])
    assert "there.png (seed 3)" in capsys.readouterr().out


def test_the_files_name_is_the_format_and_json_tells_all(
    service: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rocket.webp"
    url = str(service.base_url)
    main(["generate", "rocket", "-o", str(output), "--url", url, "--json", *ASKED])
    with Image.open(output) as picture:
        assert picture.format == "WEBP"
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [{"path": str(output), "seed": 3}]
    assert told["job"] == service.get(told["job"]["links"]["self"]).json()


def test_ctrl_c_cancels_the_job_and_says_so(
    service: httpx.Client, tmp_path: Path, heed: Callable[[signal.Signals], None]
) -> None:
    heed(signal.SIGINT)
    command = ["generate", "rocket", "--url", str(service.base_url), "--steps", "150"]
    command += ["--images", "4", "-o", str(tmp_path / "rocket.png")]
    running = subprocess.Popen(
        [sys.executable, "-m", "darkroom", *command], cwd=ROOT, stderr=subprocess.PIPE
    )
    begun = {"state": "running"}
    (job,) = until(lambda: service.get("/jobs", params=begun).json()["jobs"])
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.decode().strip() == f"Job {job['id']} is cancelled."
    assert service.get(job["links"]["self"]).json()["state"] == "cancelled"
    assert list(tmp_path.iterdir()) == []


Ending = Callable[[subprocess.Popen[bytes]], None]


@contextmanager
def service_of_run(
    folder: Path, arguments: list[str], environment: dict[str, str], end: Ending
) -> Iterator[str]:
    """What `darkroom run` says once it is up, with a tiny model and in a session of its own; it
    is ended by `end`, and must."""
    checkpoint = build_checkpoint(folder / "tiny")
    inherited = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    said = folder / "said"
    with said.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "darkroom", "run", "--data", str(folder / "data"), *arguments],
            env=inherited
            | {"DARKROOM_CHECKPOINT": str(checkpoint), "DARKROOM_THREADS": "1"}
            | environment,
            cwd=ROOT,
            stdout=output,
            start_new_session=True,
        )
    try:
        until(lambda: b"Ctrl-C stops it" in said.read_bytes())
        yield said.read_text()
    finally:
        end(running)
        assert running.wait(30) == 0


def test_run_brings_everything_up_and_takes_it_down(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    arguments = ["--port", str(port), "--metrics-port", str(metrics_port)]
    with service_of_run(tmp_path, arguments, {}, subprocess.Popen.terminate) as said:
        url = f"http://127.0.0.1:{port}"
        assert f"curl -s {url}/generate" in said
        body = {"prompt": "anything", "steps": 2}
        picture = httpx.post(f"{url}/generate", json=body, headers={"Accept": "image/png"})
        assert picture.headers["content-type"] == "image/png"
        metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
        assert "darkroom_pictures_total 1.0" in metrics
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


@pytest.fixture
def heed() -> Iterator[Callable[[signal.Signals], None]]:
    """Lets processes heed a signal that whoever runs the tests may have let them ignore."""
    before: dict[signal.Signals, object] = {}

    def heed(number: signal.Signals) -> None:
        before[number] = signal.signal(number, signal.SIG_DFL)

    yield heed
    for number, handler in before.items():
        signal.signal(number, handler)


def signal_the_group(number: signal.Signals) -> Ending:
    return lambda running: os.killpg(running.pid, number)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_run_in_order(
    tmp_path: Path, number: signal.Signals, heed: Callable[[signal.Signals], None]
) -> None:
    """Redis goes last: work that was begun is put back into it."""
    heed(signal.SIGHUP)
    host, port = "127.0.0.2", free_port()
    environment = {
        "DARKROOM_HOST": host,
        "DARKROOM_PORT": str(port),
        "DARKROOM_METRICS_PORT": str(free_port()),
    }
    with service_of_run(tmp_path, [], environment, signal_the_group(number)) as said:
        url = f"http://{host}:{port}"
        assert f"darkroom is ready at {url} " in said
        body = {"prompt": "anything", "steps": 150, "images": 4}
        begun = [httpx.post(f"{url}/generate", json=body).json()["id"] for _ in range(4)]
        until(lambda: httpx.get(f"{url}/jobs/{begun[0]}").json()["state"] == "running")
    redis_url = free_url()
    with (
        embedded_redis(redis_url, tmp_path / "data" / f"redis-{port}"),
        connect(redis_url, timeout_s=3.0) as connection,
    ):
        records = [read_job(connection, job_id) for job_id in begun]
    assert [record and record.state for record in records] == [JobState.QUEUED] * len(begun)


@pytest.mark.parametrize(
    ("flag", "setting"),
    [("--port", "DARKROOM_PORT"), ("--metrics-port", "DARKROOM_METRICS_PORT")],
)
def test_run_names_a_port_that_cannot_be(
    flag: str,
    setting: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DARKROOM_PORT", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, reason in (
            (taken.getsockname()[1], "cannot be listened on: Address already in use"),
            (99999, "must be less than or equal to 65535"),
        ):
            with pytest.raises(SystemExit) as end:
                main(["run", flag, str(port)])
            assert end.value.code == 2
            complaint = capsys.readouterr().err
            assert complaint.startswith(f"darkroom: {setting}: ")
            assert reason in complaint
            assert complaint.count("\n") == 1
