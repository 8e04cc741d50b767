"""A short form of `make chaos`."""

import sys

import pytest

from tests.faults.chaos import Plan, run


def test_killing_worker_redis_and_api_loses_doubles_and_spoils_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(
        jobs=18,
        workers=2,
        kill_every_s=0.5,
        most_kills=1,
        redis_restarts=(),
        redis_kills=(0.3,),
        api_restarts=(0.6,),
        freezes=(),
        commit_freezes=(),
        has_short_leases=True,
    )
    report = run(plan)
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert report.is_clean, str(report)
    assert report.kills == report.api_restarts == report.redis_restarts == 1, str(report)
    assert report.recovery_s, str(report)
