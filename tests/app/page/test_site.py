"""The page as it goes out, before any browser reads it."""

import re

import pytest

from app.page.site import EXAMPLES, Site
from app.settings import AppSettings
from contract.request import GenerateRequest
from contract.samplers import SAMPLERS
from tests.service import STARTER

IMPORT = re.compile(r'^import .* from "\./(.+)";$', re.MULTILINE)


@pytest.fixture(scope="module")
def site() -> Site:
    return Site.of(AppSettings())


@pytest.fixture(scope="module")
def html(site: Site) -> str:
    return site.page.content.decode()


def test_every_file_that_is_asked_for_is_there(site: Site, html: str) -> None:
    named = set(re.findall(rf"/assets/{site.version}/([\w.]+)", html))
    assert {"main.js", "base.css", "icon.svg"} <= named
    for name, file in site.files.items():
        named |= set(IMPORT.findall(file.content.decode())) if name.endswith(".js") else set()
    assert named == set(site.files)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(site: Site, html: str) -> None:
    assert not re.search(r"\s(style|on\w+)=", html)
    scripts = re.findall(r"<script[^>]*>", html)
    assert all(" src=" in tag or 'type="application/json"' in tag for tag in scripts)
    for file in (site.page, *site.files.values()):
        addresses = re.findall(rb"(?:https?:)?//[\w.-]+\.\w+", file.content)
        assert set(addresses) <= {b"http://www.w3.org"}  # the namespace of SVG


def test_the_bounds_are_those_of_a_request(html: str) -> None:
    fields = GenerateRequest.model_json_schema()["properties"]
    for name in ("steps", "guidance", "images"):
        (tag,) = re.findall(rf'<input id="{name}"[^>]*>', html)
        for attribute, key in (("min", "minimum"), ("max", "maximum"), ("value", "default")):
            assert f'{attribute}="{fields[name][key]}"' in tag
    assert re.findall(r'<option value="(\w+)"', html) == list(SAMPLERS)


def test_the_starter_can_draw_what_is_proposed() -> None:
    labels = (STARTER / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert set(EXAMPLES["starter"]) <= set(labels)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3600, "one hour"),
        (7200, "2 hours"),
        (86400, "one day"),
        (5400, "90 minutes"),
        (61, "61 seconds"),
    ],
)
def test_the_page_says_how_long_pictures_are_kept(seconds: int, words: str) -> None:
    page = Site.of(AppSettings(result_ttl_s=seconds)).page.content.decode()
    assert f"kept for {words}:" in page


def test_another_page_has_another_tag(site: Site) -> None:
    locked = Site.of(AppSettings(keys="required"))
    assert locked.version == site.version
    assert locked.page.etag != site.page.etag
