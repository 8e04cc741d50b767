"""The courier as a process of its own."""

import subprocess
import sys

import pytest
from redis import Redis

from contract.errors import BadSetting
from courier.main import run_courier
from courier.settings import CourierSettings
from tests.courier.receiver import Receiver
from tests.courier.samples import SECRETS
from tests.courier.test_courier_worker import end_a_job
from tests.service import ROOT, process


def test_the_command_delivers_and_stops_at_a_signal(
    redis_url: str, connection: Redis, receiver: Receiver
) -> None:
    environment = {
        "REDIS_URL": redis_url,
        "DARKROOM_WEBHOOK_SECRET": SECRETS[0],
        "DARKROOM_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "DARKROOM_PUBLIC_URL": "https://pictures.example.com",
    }
    job_id = end_a_job(connection, receiver.url)
    with process(["webhooks"], environment):
        told = receiver.next().verified(SECRETS[0])
    assert told["data"]["links"]["self"] == f"https://pictures.example.com/jobs/{job_id}"


def test_without_a_secret_it_does_not_start(redis_url: str) -> None:
    with pytest.raises(BadSetting, match=r"^DARKROOM_WEBHOOK_SECRET: "):
        run_courier(CourierSettings(redis_url=redis_url))


def test_it_loads_neither_torch_nor_what_serves_http() -> None:
    code = (
        "import sys, courier.main, courier.tasks;"
        "sys.exit(bool({'torch', 'fastapi', 'app', 'worker'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
