"""The load test against a server that misbehaves."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from load_test.choices import Card
from load_test.demand import Mix
from load_test.run import GAVE_UP, Plan, Run
from load_test.service import Service

from tests.benchmarks.played_service import MODEL, PlayedService, played_service
from tests.service import ROOT
from tests.waiting import until

STALL_S = 0.4
PACE_S = 0.05


def ran(service: PlayedService, plan: Plan) -> tuple[Run, float]:
    """The run, and its start by time.monotonic()."""

    async def whole() -> Run:
        async with Service(service.url) as asked:
            run = Run(asked, "played", Mix.parse("equal", {}).on(Card.of(MODEL)), plan)
            await run.run()
            return run

    run = asyncio.run(whole())
    return run, time.monotonic() - run.now


def command(service: PlayedService, *words: str) -> list[str]:
    script = str(ROOT / "benchmarks" / "load.py")
    return [sys.executable, script, "--url", service.url, "--mix", "equal", *words]


@pytest.mark.parametrize(
    "load",
    [{"users": 1, "requests": 18, "pace_s": PACE_S}, {"rate": 1 / PACE_S, "seconds": 0.9}],
    ids=["closed", "open"],
)
def test_a_stall_is_charged_for_all_who_would_have_come_meanwhile(load: dict[str, Any]) -> None:
    with played_service() as service:
        service.stall_at, service.stall_s = 3, STALL_S
        run, start = ran(service, Plan(**load, warm_up_s=0.0))
        assert service.stalled is not None
        began, ended = (at - start for at in service.stalled)
    meant = [outcome for outcome in run.outcomes if began <= outcome.intended <= ended]
    assert len(meant) >= 3
    for outcome in meant:
        assert outcome.response_s >= ended - outcome.intended
    if "users" in load:  # who sends nothing during the stall: what was sent saw nothing of it
        assert all(outcome.sent > ended for outcome in meant)
        assert sum(o.service_s >= STALL_S for o in run.outcomes) == 1
        assert sum(o.lag_s for o in meant) < sum(o.sent - o.intended for o in meant)


def test_what_has_to_wait_for_a_free_connection_has_waited_all_the_same() -> None:
    with played_service() as service:
        service.stall_at, service.stall_s = 0, STALL_S
        run, start = ran(
            service, Plan(rate=1 / PACE_S, seconds=0.5, warm_up_s=0.0, most_open=1, seed=3)
        )
        assert service.stalled is not None
        ended = service.stalled[1] - start
    held_up = [outcome for outcome in run.outcomes[1:] if outcome.intended < ended]
    assert held_up
    assert all(o.slot_s > 0 and o.response_s >= ended - o.intended for o in held_up)


def test_users_come_again_when_they_are_told_to_and_arrivals_do_not() -> None:
    refusals = {1: (429, "rate_limited", "1"), 2: (503, "queue_full", "1")}
    with played_service() as service:
        service.refusals = refusals
        closed, _ = ran(service, Plan(users=2, requests=4, warm_up_s=0.0))
    codes = Counter(code for outcome in closed.outcomes for code in outcome.refusals)
    assert codes == {"429 rate_limited": 1, "503 queue_full": 1}
    assert all(outcome.has_succeeded for outcome in closed.outcomes)
    for refused in (outcome for outcome in closed.outcomes if outcome.refusals):
        assert refused.response_s - refused.service_s >= 1.0  # the pause that was asked for
    with played_service() as service:
        service.refusals = refusals
        opened, _ = ran(service, Plan(rate=20.0, seconds=0.5, warm_up_s=0.0))
    errors = Counter(outcome.error for outcome in opened.outcomes if outcome.error)
    assert errors == {"429 rate_limited": 1, "503 queue_full": 1}
    assert len(opened.outcomes) == opened.done.total() > 2


def test_only_what_was_meant_after_the_warm_up_counts() -> None:
    with played_service() as service:
        run, _ = ran(service, Plan(users=2, requests=6, warm_up_s=0.2))
    assert sum(outcome.is_counted for outcome in run.outcomes) == 6
    assert {o.is_counted for o in run.outcomes if o.intended < 0.2} == {False}


def test_no_link_leads_to_another_host() -> None:
    with played_service() as service, played_service() as other:
        service.picture_link = f"{other.url}/jobs/{{id}}/images/0"
        run, _ = ran(service, Plan(rate=20.0, seconds=0.2, warm_up_s=0.0, fetch=True))
        assert {outcome.error for outcome in run.outcomes} == {"link to another host"}
        service.picture_link = "//[::"
        run, _ = ran(service, Plan(rate=20.0, seconds=0.2, warm_up_s=0.0, fetch=True))
        assert {outcome.error for outcome in run.outcomes} == {"link to nowhere"}
        service.redirect = f"{other.url}/generate"
        run, _ = ran(service, Plan(rate=20.0, seconds=0.2, warm_up_s=0.0))
        assert {outcome.error for outcome in run.outcomes} == {"307"}
        assert other.posts == other.others == []


def test_pictures_of_the_service_itself_are_fetched_whole() -> None:
    with played_service() as service:
        run, _ = ran(service, Plan(users=1, requests=2, warm_up_s=0.0, fetch=True))
        assert all(outcome.has_succeeded for outcome in run.outcomes)


def test_another_service_is_not_put_under_load(capsys: pytest.CaptureFixture[str]) -> None:
    import load

    with played_service() as service:
        service.is_darkroom = False
        assert load.main(["--url", service.url]) == 2
    assert capsys.readouterr().err == "--url: what answers there is no darkroom.\n"
    assert service.posts == []


def test_what_takes_too_long_is_given_up_and_cancelled() -> None:
    with played_service() as service:
        service.ends = False
        run, _ = ran(service, Plan(rate=20.0, seconds=0.3, warm_up_s=0.0, timeout_s=0.2))
        assert {outcome.error for outcome in run.outcomes} == {GAVE_UP}
        assert all(outcome.response_s >= 0.2 for outcome in run.outcomes)
        jobs = {outcome.job.id for outcome in run.outcomes if outcome.job}
        assert set(service.cancelled) == jobs
        assert run.cancelled == len(jobs)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_gives_the_report_of_what_there_is(
    tmp_path: Path, sent: signal.Signals
) -> None:
    with played_service() as service:
        words = ["--users", "3", "--requests", "100", "--pace", "0.02", "--warm-up", "0"]
        words += ["--report", str(tmp_path)]
        running = subprocess.Popen(
            command(service, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(lambda: len(service.posts) > 10)
        service.ends = False
        until(lambda: service.waiting == 3)
        running.send_signal(sent)
        out, told = running.communicate(timeout=20)
    assert running.returncode == 0, told
    html, figures = sorted(tmp_path.iterdir())
    assert (html.suffix, figures.suffix) == (".html", ".json")
    assert str(html) in out
    found = json.loads(figures.read_text())
    assert found["requests"]["succeeded"] > 5
    assert found["requests"]["interrupted"] == len(set(service.cancelled)) == 3
    assert "interrupted" in " ".join(found["warnings"])


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--rate", "0", "--seconds", "1"], "--rate"),
        (["--rate", "2"], "--seconds"),
        (["--rate", "2", "--seconds", "1", "--users", "3"], "--users"),
        (["--users", "1.5"], "--users"),
        (["--warm-up", "-1"], "--warm-up"),
        (["--require", "2"], "--require"),
        (["--url", "somewhere"], "--url"),
        (["--steps", "many"], "--steps"),
        (["--model", "other"], "--model"),
        (["--sizes", "4096x4096"], "--sizes"),
        (["--url", "http://127.0.0.1:9"], "--url"),
        (["--report", "/dev/null/report.html"], "--report"),
        (["--json", "/dev/null/figures.json"], "--json"),
        (["--key", "secret\n"], "--key"),
    ],
)
def test_a_bad_option_is_one_sentence_that_names_it(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import load

    with played_service() as service:
        try:
            status = load.main(["--url", service.url, *words])
        except SystemExit as end:
            status = end.code
    said = capsys.readouterr().err
    assert status in (1, 2)
    assert said.startswith(option), said
    assert len(said.splitlines()) == 1
    assert "secret" not in said
