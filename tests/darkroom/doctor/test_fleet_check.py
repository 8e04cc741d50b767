"""Workers that live, queues that wait, and the API at its address."""

import subprocess
import sys

import pytest
from redis import Redis

from contract.identity import new_job_id
from contract.queue import enqueue, model_queue
from contract.workers import announce
from darkroom.cli import main
from tests.contract.samples import MODEL, TTL_S, job_request, model_card, worker_card
from tests.darkroom.conftest import Api
from tests.darkroom.doctor.conftest import Doctor
from tests.service import ROOT


def test_workers_and_their_releases(doctor: Doctor, connection: Redis) -> None:
    assert doctor().says("fleet", "warn", "No worker lives")
    announce(connection, worker_card("gpu-1", version="9.9.9", contract=1), model_card())
    announce(connection, worker_card("gpu-2", version="", contract=0), model_card())
    report = doctor()
    assert report.says("fleet", "ok", "Worker gpu-1 on node-7 lives: model tiny")
    assert report.says("fleet", "warn", "gpu-2 know an older contract")
    assert report.says("fleet", "warn", "Several releases run, this one among them: 0.1.0, 9.9.9")


def test_jobs_that_nobody_will_take(doctor: Doctor, connection: Redis) -> None:
    announce(connection, worker_card("gpu-1", model="other"), model_card("other"))
    announce(connection, worker_card("gone"), model_card())
    connection.delete(*connection.keys("darkroom:worker:gone*"))
    enqueue(model_queue(connection, MODEL), new_job_id(), job_request(), TTL_S)
    report = doctor(DARKROOM_DEFAULT_MODEL="absent")
    assert report.says("fleet", "warn", "1 jobs wait for model tiny, and no worker of it lives")
    assert report.says("fleet", "warn", "DARKROOM_DEFAULT_MODEL is absent, which no worker")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:port", "nonsense"])
def test_an_api_that_is_not_there(doctor: Doctor, url: str) -> None:
    assert doctor(DARKROOM_URL=url).says("address", "fail", f"DARKROOM_URL: {url}/readyz")


def test_an_api_that_is_there(doctor: Doctor, api: Api, connection: Redis) -> None:
    assert doctor(DARKROOM_URL=api.url).says("address", "ok", "is ready, and sees 0 live workers")


def test_it_is_text_for_a_person(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--part", "webhooks"])
    lines = capsys.readouterr().out.splitlines()
    assert "fail  settings: DARKROOM_WEBHOOK_SECRET is not set, and webhooks are signed." in lines
    assert lines[-1].endswith(" 2 fail")  # the tests' Redis has no AOF
    assert not any("by default" in line for line in lines)
    assert not any("\033" in line for line in lines)


def test_it_needs_no_more_than_the_smallest_image_has() -> None:
    code = (
        "import sys, darkroom.doctor.examination as e;"
        "sys.exit(bool({'torch', 'fastapi', 'uvicorn', 'httpx', 'anyio'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
