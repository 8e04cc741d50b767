"""What is wrong at the start is one sentence that names the setting; exit code 2, no traceback."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from contract.connections import connect
from darkroom.cli import main
from tests.courier.samples import SECRETS
from tests.darkroom.redis_server import redis_server
from tests.service import ROOT, STARTER

WITHOUT_PING = ("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-ping")
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


@pytest.fixture(autouse=True)
def _redis(redis_url: str, connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DARKROOM_METRICS_PORT", "0")
    monkeypatch.setenv("DARKROOM_PORT", "0")
    monkeypatch.setenv("DARKROOM_MAX_ROWS", "2")


def sentence(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("darkroom: ")
    return said


EVERYWHERE = [
    ("REDIS_URL", "", "must be redis://"),
    ("REDIS_URL", "http://127.0.0.1", "must be redis://"),
    ("REDIS_URL", "redis://127.0.0.1:port/0", "must be as in redis://default"),
    ("REDIS_URL", "redis://127.0.0.1:70000/0", "must be as in redis://default"),
    ("REDIS_URL", "redis://127.0.0.1/first", "must end in the number of a database"),
    ("REDIS_URL", "redis://127.0.0.1/0?nonsense=1", "must be as in redis://default"),
    ("REDIS_URL", "redis://127.0.0.1/0?socket_timeout=a", "must be as in redis://default"),
    ("DARKROOM_PICTURES", "", "must be redis://…, file:///an/absolute/folder or s3://"),
    ("DARKROOM_PICTURES", "redis://127.0.0.1:port/0", "must be as in redis://default"),
    ("DARKROOM_RESULT_TTL_S", "soon", "must be a valid integer"),
]
API = [
    ("DARKROOM_PORT", "70000", "must be less than or equal to 65535"),
    ("DARKROOM_HOST", "", "must have at least 1 character"),
    ("DARKROOM_HOST", "0.0.0.0", "DARKROOM_KEYS: "),
    ("DARKROOM_KEYS", "maybe", "must be 'required' or 'off': set it to required, and make keys"),
    ("DARKROOM_ALLOWED_HOSTS", "a/b", "must be hosts such as"),
    ("DARKROOM_OPENAI_MODELS", "=x", "must be names, such as"),
    ("DARKROOM_TRUSTED_PROXIES", "proxy", "not a valid IPv4 or IPv6 network"),
    ("DARKROOM_PUBLIC_URL", "example.com", "must be http://… or https://…"),
    ("DARKROOM_WEBHOOK_SECRET", "abc", "must be whsec_ and the base64 of 24 to 64"),
]
WORKER = [
    ("DARKROOM_WORKER_NAME", "a name", "must be 1 to 100 letters"),
    ("DARKROOM_DEVICE", "tpu", "must be 'auto', 'cpu' or 'cuda'"),
    ("DARKROOM_DEVICE", "cuda", "torch finds no GPU; set it to auto or cpu"),
    ("DARKROOM_DTYPE", "float16", "use float32 or auto"),
    ("DARKROOM_CHECKPOINT", "/nowhere", "must name a Stable Diffusion folder"),
    ("DARKROOM_MAX_SIDE", "8", "set it to 128 or more"),
    ("DARKROOM_FIXED_ROWS", "0", "must be greater than or equal to 1"),
    ("DARKROOM_FIXED_ROWS", "3", "set it to 2 or less"),
    ("DARKROOM_MEMORY_MB", "0", "must be greater than or equal to 1"),
    ("DARKROOM_MEMORY_MB", "2GB", "must be a valid integer"),
    ("DARKROOM_MEMORY_MB", "50", "and DARKROOM_MEMORY_MB is 50"),
    ("DARKROOM_COMPILE_BUCKETS", "maybe", "must be a valid boolean"),
    ("DARKROOM_COMPILE_CACHE", "", "must name a folder"),
    ("DARKROOM_CHANNELS_LAST", "yes", "must be 'auto', 'true' or 'false'"),
]
WEBHOOKS = [
    ("DARKROOM_WEBHOOK_SECRET", "", "set it to what the API has"),
    ("DARKROOM_WEBHOOK_SECRET", "whsec_abc", "must be whsec_ and the base64 of 24 to 64"),
    ("DARKROOM_WEBHOOK_THREADS", "0", "must be greater than or equal to 1"),
]


@pytest.mark.parametrize(
    ("command", "name", "value", "said"),
    [
        *(("api", *case) for case in [*EVERYWHERE, *API]),
        *(("worker", *case) for case in [*EVERYWHERE[2:3], *WORKER]),
        *(("webhooks", *case) for case in [*EVERYWHERE[2:3], *WEBHOOKS]),
        *(("run", *case) for case in [*EVERYWHERE[2:3], *API[1:3], *WORKER[:2], WORKER[4]]),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_wrong_setting_is_one_sentence(
    command: str,
    name: str,
    value: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "DARKROOM_DEVICE" and value == "cuda":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if command == "worker":
        monkeypatch.setenv("DARKROOM_THREADS", "1")
        if name != "DARKROOM_DEVICE":
            monkeypatch.setenv("DARKROOM_DEVICE", "cpu")
    monkeypatch.setenv(name, value)
    found = sentence(capsys, command)
    assert name in found or "DARKROOM_KEYS" in found
    assert said in found


def test_a_picture_store_that_cannot_be_is_said_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DARKROOM_PICTURES", f"file://{tmp_path}/file/pictures")
    monkeypatch.setenv("DARKROOM_CHECKPOINT", "/nowhere")
    for command in ("api", "worker"):
        assert "DARKROOM_PICTURES: no folder" in sentence(capsys, command)


def test_a_picture_store_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_PICTURES", f"file://{tmp_path}")
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    for command in ("api", "worker"):
        assert "DARKROOM_PICTURES: the user of this process may not" in sentence(capsys, command)


def test_a_checkpoint_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(STARTER, tmp_path / "broken"))
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:5000])
    monkeypatch.setenv("DARKROOM_CHECKPOINT", str(broken))
    for command in ("worker", "run"):
        assert "is broken; fetch it again" in sentence(capsys, command)


def test_a_port_that_is_taken(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_PORT", str(taken))
    for command in ("api", "run"):
        assert "DARKROOM_PORT" in sentence(capsys, command)


@pytest.mark.parametrize("host", ["127.0.0.1", "8.8.8.8", "no.such.host"])
def test_an_address_for_metrics_that_cannot_be_is_said_before_the_model_is_loaded(
    host: str, taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_METRICS_HOST", host)
    monkeypatch.setenv("DARKROOM_METRICS_PORT", str(taken))
    monkeypatch.setenv("DARKROOM_CHECKPOINT", "/nowhere")
    said = f"DARKROOM_METRICS_HOST and DARKROOM_METRICS_PORT: {host}:{taken} cannot be listened on"
    assert said in sentence(capsys, "worker")


def test_a_password_that_redis_does_not_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no outage, so nobody waits for it."""
    monkeypatch.setenv("DARKROOM_WEBHOOK_SECRET", SECRETS[0])
    with redis_server("--requirepass", "right") as url:
        for wrong in (url, url.replace("://", "://:wrong@")):
            monkeypatch.setenv("REDIS_URL", wrong)
            for command in ("api", "worker", "webhooks", "run"):
                found = sentence(capsys, command)
                assert "REDIS_URL: Redis wants another password" in found
                assert "wrong@" not in found


@pytest.mark.parametrize(
    ("options", "database", "said"),
    [
        ((), "77", "DB index is out of range"),
        (WITHOUT_PING, "0", "no permissions"),
    ],
)
def test_a_redis_that_answers_and_refuses(
    options: tuple[str, ...],
    database: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It will answer the same tomorrow, so nobody waits for it either."""
    monkeypatch.setenv("DARKROOM_WEBHOOK_SECRET", SECRETS[0])
    with redis_server(*options) as url:
        monkeypatch.setenv("REDIS_URL", url.removesuffix("0") + database)
        for command in ("api", "worker", "webhooks", "run"):
            found = sentence(capsys, command)
            assert "REDIS_URL: Redis refuses it; name a database that it has" in found
            assert said in found


def test_a_redis_for_pictures_that_wants_another_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_CHECKPOINT", "/nowhere")
    with redis_server("--requirepass", "right") as url:
        monkeypatch.setenv("DARKROOM_PICTURES", url.replace("://", "://:wrong@"))
        for command in ("api", "worker"):
            found = sentence(capsys, command)
            assert "DARKROOM_PICTURES: Redis wants another password" in found
            assert "wrong@" not in found


def test_a_redis_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker and the courier wait for half a minute, as it may be about to start."""
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    monkeypatch.setattr("contract.connections.START_PATIENCE_S", 0.0)
    monkeypatch.setattr("worker.main.START_PATIENCE_S", 0.0)
    monkeypatch.setattr("courier.main.START_PATIENCE_S", 0.0)
    monkeypatch.setenv("DARKROOM_WEBHOOK_SECRET", SECRETS[0])
    for command in ("worker", "webhooks", "run"):
        assert "REDIS_URL: no Redis answers there, so start one" in sentence(capsys, command)


def test_the_process_itself_ends_with_that_sentence(redis_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "darkroom", "api"],
        env={"REDIS_URL": "redis://127.0.0.1:port/0", "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("darkroom: REDIS_URL: must be as in redis://default")


def test_an_api_without_redis_starts_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    from contract.connections import look_for_redis

    with connect(NOWHERE, timeout_s=1.0) as client:
        look_for_redis(client)
    assert caplog.text.count("REDIS_URL: no Redis answers there; until one does") == 1
