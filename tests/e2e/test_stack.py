"""The stack of docker-compose.yml in a real Docker engine, but for Grafana: `make compose-test`.

One stack for all tests, in a project of its own and on ports that are free, with two workers. It is
taken down at the end, with its volumes, whatever happened. The last test stops it.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from darkroom import Client
from tests.service import ROOT
from tests.waiting import until

pytestmark = pytest.mark.docker

SERVICES = ("redis", "api", "worker", "webhooks", "prometheus")
ENDED = ("api", "worker", "webhooks", "redis")
WORKERS = 2
SETTINGS = {
    "COMPOSE_PROJECT_NAME": "darkroom-test",
    "COMPOSE_PROFILES": "webhooks",  # `down` leaves what no profile names
    "BIND": "",
    "DARKROOM_KEYS": "",
    "PORT": "0",
    "PROMETHEUS_PORT": "0",
    "DARKROOM_THREADS": "1",
    "DARKROOM_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G",
    "REVISION": "0123456789",
}
UID = "10001"
API_BYTES = 200e6  # beside the base


def docker(*words: str, fails: bool = False) -> str:
    """What a command of Docker prints."""
    done = subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env=os.environ | SETTINGS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is fails, f"docker {' '.join(words)}:\n{done.stdout}"
    return done.stdout.strip()


def compose(*words: str, fails: bool = False) -> str:
    return docker("compose", "--progress", "quiet", *words, fails=fails)


def inside(service: str, *words: str, fails: bool = False) -> str:
    return compose("exec", "--no-TTY", service, *words, fails=fails)


def containers(*services: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        docker("inspect", *compose("ps", "--all", "--quiet", *services).split())
    )
    return found


def address(service: str, port: int) -> str:
    return f"http://{compose('port', service, str(port))}"


@pytest.fixture(scope="module", autouse=True)
def stack(request: pytest.FixtureRequest) -> Iterator[None]:
    engine = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if engine.returncode != 0:
        pytest.fail(f"These tests need a Docker engine, and none answers: {engine.stderr.strip()}")
    failed = True
    try:
        scale = f"worker={WORKERS}"
        compose("up", "--build", "--detach", "--wait", "--scale", scale, *SERVICES)
        yield
        failed = request.session.testsfailed > 0
    finally:
        if failed:
            print(compose("logs", "--no-color", "--tail", "50"))  # noqa: T201
        compose("down", "--volumes", "--rmi", "local", "--timeout", "30")


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(address("api", 8000)) as client:
        yield client


def value(query: str) -> float | None:
    """Of the only series that a query of Prometheus finds."""
    url = f"{address('prometheus', 9090)}/api/v1/query"
    series = httpx.get(url, params={"query": query}).raise_for_status().json()["data"]["result"]
    return float(series[0]["value"][1]) if series else None


def test_the_first_request_brings_a_picture() -> None:
    answer = httpx.post(
        f"{address('api', 8000)}/generate",
        json={"prompt": "red apple", "seed": 1, "steps": 8},
        headers={"Accept": "image/png", "Prefer": "wait=60"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\x89PNG")


def test_prometheus_finds_each_process_by_the_name_of_its_service(client: Client) -> None:
    until(lambda: value('sum(up{job="darkroom-worker"})') == WORKERS)
    until(lambda: value('sum(up{job="darkroom-api"})') == 1)
    assert value("count(up == 0)") is None
    client.wait(client.generate("sailboat", seed=2, steps=8)).raise_for_state()
    until(lambda: (value("sum(darkroom_pictures_total)") or 0) >= 2)
    until(lambda: value("sum(darkroom_jobs_accepted_total)") == 2)  # it is asked at another time
    assert value("darkroom_redis_up") == 1


@pytest.mark.parametrize("service", ["api", "worker"])
def test_a_process_has_no_rights_and_writes_nothing_but_under_tmp(service: str) -> None:
    assert inside(service, "id", "-u") == UID
    assert "CapEff:\t0000000000000000" in inside(service, "cat", "/proc/1/status")
    assert "Read-only file system" in inside(service, "touch", "/opt/file", fails=True)
    inside(service, "touch", "/tmp/file")


def test_nothing_is_published_beyond_loopback() -> None:
    hosts = {
        (one["Config"]["Labels"]["com.docker.compose.service"], binding["HostIp"])
        for one in containers()
        for bindings in one["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    }
    assert hosts == {("api", "127.0.0.1"), ("prometheus", "127.0.0.1")}


def test_redis_wants_its_password_which_no_environment_and_no_command_holds() -> None:
    assert "NOAUTH" in inside("redis", "redis-cli", "get", "anything")
    password = inside("redis", "cat", "/run/secrets/redis_password")
    assert len(password) == 48
    for one in containers():
        assert password not in json.dumps([one["Config"], one["Args"]])
    wrong = ("run", "--rm", "--no-deps", "--env", "REDIS_URL=redis://redis:6379/0", "api")
    said = compose(*wrong, "darkroom", "keys", "list", fails=True)
    assert "REDIS_URL: " in said.splitlines()[-1]


def test_the_api_image_is_small_and_says_what_it_is() -> None:
    (api,) = containers("api")
    (image,) = json.loads(docker("image", "inspect", api["Image"]))
    base = f"python:{os.environ.get('PYTHON_VERSION', '3.12')}-slim"
    (below,) = json.loads(docker("image", "inspect", base))
    assert image["Size"] - below["Size"] < API_BYTES
    assert image["Config"]["Labels"]["org.opencontainers.image.revision"] == SETTINGS["REVISION"]
    assert f"DARKROOM_REVISION={SETTINGS['REVISION']}" in image["Config"]["Env"]
    assert "No module named 'torch'" in inside("api", "python", "-c", "import torch", fails=True)


def test_workers_that_restart_under_load_lose_no_job(client: Client) -> None:
    jobs = [client.generate("penguin", seed=seed, steps=20) for seed in range(16)]
    until(lambda: any(True for _ in client.jobs(state=["running"])))
    compose("stop", "worker")
    assert [one["State"]["ExitCode"] for one in containers("worker")] == [0] * WORKERS
    assert any(not client.job(job).is_final for job in jobs), "there was no load"
    compose("start", "worker")
    with ThreadPoolExecutor(len(jobs)) as pool:
        ended = list(pool.map(lambda job: client.wait(job, timeout_s=120), jobs))
    assert [job.state for job in ended] == ["succeeded"] * len(jobs)


def test_a_stop_ends_each_process_in_order_and_in_time() -> None:
    began = time.monotonic()
    compose("stop", *ENDED)
    assert time.monotonic() - began < 30
    assert {one["State"]["ExitCode"] for one in containers(*ENDED)} == {0}
