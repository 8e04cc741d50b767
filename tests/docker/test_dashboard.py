"""The dashboard's file: what a reader sees before any figure is there."""

from collections import Counter

import pytest

from tests.dashboard import Panel, panels, read_dashboard

COLUMNS = 24


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.title)
def test_a_panel_says_what_it_shows_and_in_what_unit(panel: Panel) -> None:
    assert panel.title
    assert panel.content["description"].endswith(".")
    assert panel.unit
    assert panel.targets
    assert panel.content["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_ids_and_places_of_their_own() -> None:
    every = read_dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    cells = Counter(
        (place["x"] + x, place["y"] + y)
        for place in places
        for x in range(place["w"])
        for y in range(place["h"])
    )
    assert max(cells.values()) == 1


def test_the_variables_are_those_that_the_queries_use() -> None:
    dashboard = read_dashboard()
    named = {each["name"] for each in dashboard["templating"]["list"]}
    assert named == {"datasource", "model", "instance"}
    used = " ".join(target.query for panel in panels() for target in panel.targets)
    assert all(f"${name}" in used for name in named - {"datasource"})
