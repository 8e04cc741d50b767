"""Room for connections, in a process whose limits are low."""

import subprocess
import sys

import pytest

from tests.faults.servers import ROOT

CODE = """
import resource
from app.open_files import make_room

print(make_room(1000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (300, 2000, 1000, 1256),
        (1500, 2000, 1000, 1500),
        (300, 1000, 744, 1000),
        (300, 300, 44, 300),
    ],
)
def test_the_limit_is_raised_as_far_as_may_be_and_no_more_are_let_in_than_fit(
    soft: int, hard: int, room: int, raised: int
) -> None:
    limited = f'ulimit -S -n {soft} && ulimit -H -n {hard} && exec "$0" -c "$1"'
    done = subprocess.run(
        ["sh", "-c", limited, sys.executable, CODE], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == [str(room), str(raised), str(hard)]
    assert (b"DARKROOM_MAX_CONNECTIONS" in done.stderr) == (room < 1000)
