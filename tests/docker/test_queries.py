"""What the dashboard and the rules ask, asked of a real Prometheus that watches a real service."""

import math
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.dashboard import Panel, filled, panels, read_dashboard
from tests.docker.watched import Watched, watched_service
from tests.prometheus import FOLDER
from tests.waiting import until

OF_PROMETHEUS: dict[str, Set[str]] = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
}
OF_A_TARGET = {"job", "instance"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def watched(worked_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_service(worked_redis, tmp_path_factory.mktemp("prometheus")) as service:
        yield service


def rules() -> list[dict[str, str]]:
    content = yaml.safe_load((FOLDER / "rules" / "darkroom.yml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def recorded() -> dict[str, Set[str]]:
    """The labels of what the rules record."""
    return {rule["record"]: {"objective"} for rule in rules() if "record" in rule}


def asked(query: str) -> str:
    return filled(query, rate_interval="1m", time_range="5m")


def queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for target in panel.targets:
            yield panel.title, asked(target.query)
    for annotation in read_dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]


def nodes(query: str) -> list[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(promql.parse(query), pre_visit=found.append)
    return found


def unknown_words(query: str, known: Mapping[str, Set[str]]) -> Iterator[str]:
    """Series and labels that nobody shows."""
    for node in nodes(query):
        if isinstance(node, promql.VectorSelector):
            if node.name not in known:
                yield f"{node.name} is no series"
                continue
            labels = known[node.name] | OF_A_TARGET
            used = {matcher.name for matcher in node.matchers.matchers}
            yield from (f"{node.name} has no label {label}" for label in used - labels)
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            below = [each.name for each in nodes(node.expr.prettify()) if is_selector(each)]
            labels = OF_A_TARGET.union(*(known.get(name, set()) for name in below))
            yield from (f"{below}: no label {label}" for label in {*node.modifier.labels} - labels)


def is_selector(node: promql.Expr) -> bool:
    return isinstance(node, promql.VectorSelector)


def figures(watched: Watched, panel: Panel) -> list[float]:
    return [
        series.points[0][1]
        for target in panel.targets
        for series in watched.prometheus.ask(asked(target.query))
        if math.isfinite(series.points[0][1])
    ]


def test_no_query_names_what_nobody_shows(watched: Watched) -> None:
    known = watched.exposed | recorded() | OF_PROMETHEUS
    found = {
        title: words for title, query in queries() if (words := [*unknown_words(query, known)])
    }
    assert not found


def test_models_are_chosen_from_while_no_worker_lives(watched: Watched) -> None:
    """What waits for one is to be seen then above all."""
    variables = read_dashboard()["templating"]["list"]
    (variable,) = (each for each in variables if each["name"] == "model")
    match = re.fullmatch(r"label_values\((\w+), model\)", variable["query"]["query"])
    assert match is not None
    assert {each.labels["job"] for each in watched.prometheus.ask(match[1])} == {"darkroom-api"}


def test_every_query_is_answered(watched: Watched) -> None:
    for _, query in queries():
        watched.prometheus.ask(query)


def test_every_panel_has_figures_once_pictures_were_made(watched: Watched) -> None:
    assert not [panel.title for panel in panels() if not figures(watched, panel)]


def test_the_phases_add_up_to_the_time_from_request_to_publication(watched: Watched) -> None:
    ask = watched.prometheus.ask
    (whole,) = ask("sum(darkroom_job_seconds_sum)")
    (phases,) = ask("sum(darkroom_phase_seconds_sum)")
    assert phases.points[0][1] == pytest.approx(whole.points[0][1], rel=1e-9)
    (jobs,) = ask("sum(darkroom_job_seconds_count)")
    for each in ask("sum by (phase) (darkroom_phase_seconds_count)"):
        assert each.points[0][1] == jobs.points[0][1]


def test_every_rule_is_evaluated(watched: Watched) -> None:
    def evaluated() -> list[dict[str, Any]]:
        found = watched.prometheus.rules()
        return found if all(rule["health"] != "unknown" for rule in found) else []

    found = until(evaluated)
    assert len(found) == len(rules())
    assert not [rule["lastError"] for rule in found if rule["health"] != "ok"]


def test_the_limit_of_a_late_job_is_a_bucket(watched: Watched) -> None:
    """There would be no alert, and no error, were it none."""
    limits = {
        matcher.value
        for rule in rules()
        for node in nodes(rule["expr"])
        if isinstance(node, promql.VectorSelector)
        for matcher in node.matchers.matchers
        if matcher.name == "le"
    }
    for limit in limits:
        assert watched.prometheus.ask(f'darkroom_job_seconds_bucket{{le="{limit}"}}'), limit
