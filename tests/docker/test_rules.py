"""Prometheus' files: what it watches, and when it tells somebody."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.prometheus import FOLDER
from tests.service import ROOT

RULES = FOLDER / "rules" / "darkroom.yml"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", FOLDER / "prometheus.yml"],
        ["check", "rules", "--lint-fatal", RULES],
        ["test", "rules", *TESTS],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_promtool_finds_nothing_wrong(arguments: list[Any]) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_made_to_fire_by_a_test_of_its_severity() -> None:
    told = {
        match.groups()
        for path in TESTS
        for match in re.finditer(
            r'alertname="(\w+)", severity="(\w+)"', path.read_text(encoding="utf-8")
        )
    }
    shown = {
        (case["alertname"], alert["exp_labels"]["severity"])
        for path in TESTS
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test.get("alert_rule_test", [])
        for alert in case.get("exp_alerts", [])
    }
    assert told | shown == {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_and_where_it_is_said_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, anchor = alert["annotations"]["runbook_url"].split("#")
    assert anchor == alert["alert"].lower()
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert alert["alert"] in headings, f"{page} has no chapter {alert['alert']}"
