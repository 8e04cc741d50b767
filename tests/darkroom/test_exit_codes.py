import os
import subprocess
import sys

import pytest

from app.views import CANCELLED_EXAMPLE
from contract.errors import BadSetting, InvalidRequest, NotFinite
from darkroom.client import errors
from darkroom.client.errors import Refused
from darkroom.client.jobs import Job
from darkroom.exit_codes import exit_code
from tests.service import ROOT

CANCELLED = Job.model_validate(CANCELLED_EXAMPLE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFinite("a"), 1),
        (errors.JobFailed(CANCELLED), 1),
        (errors.JobCancelled(CANCELLED), 1),
        (errors.BadAnswer("a"), 1),
        (Refused.of(500, {}), 1),
        (BadSetting("a"), 2),
        (InvalidRequest("a"), 2),
        (errors.BadAddress("a"), 2),
        (errors.CannotSave("a"), 2),
        (Refused.of(401, {}), 2),
        (Refused.of(404, {}), 2),
        (Refused.of(422, {}), 2),
        (errors.Unreachable("a"), 3),
        (Refused.of(429, {}), 3),
        (Refused.of(503, {}), 3),
    ],
)
def test_the_code_says_whether_to_ask_again(error: errors.ClientError, code: int) -> None:
    assert exit_code(error) == code


def test_nobody_reads_on() -> None:
    """As of `darkroom doctor | head`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "darkroom", "doctor", "--part", "webhooks"]
    environment = os.environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")
