"""That everybody can use the page, as far as axe-core can tell."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from tests.page.conftest import DESKTOP, PHONE, Api, Visit
from tests.page.test_page import develop

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def faults(page: Page) -> list[tuple[str, str]]:
    """Of any weight, with where they are."""
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": RULES}}
    found = Axe().run(page, options=options).response["violations"]
    return [(each["id"], node["html"]) for each in found for node in each["nodes"]]


@pytest.mark.parametrize(("scheme", "viewport"), [("dark", DESKTOP), ("light", PHONE)])
def test_the_page_has_no_fault(api: Api, visit: Visit, scheme: str, viewport: ViewportSize) -> None:
    page = visit(api, viewport, color_scheme=scheme)
    if viewport is PHONE:
        page.click("#settings summary")
    done = develop(page, "owl", steps=2)
    expect(done.locator("img.fixed")).to_be_visible()
    page.fill("#prompt", "")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#prompt-fault")).to_be_visible()
    card = develop(page, "owl", steps=150)
    expect(card.locator("img.latent")).to_be_visible()
    assert faults(page) == []
    card.locator(".act").click()
    done.locator(".print").click()
    expect(page.locator("#viewer img.fixed")).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_door_has_no_fault(locked_api: Api, visit: Visit, scheme: str) -> None:
    page = visit(locked_api, refusals=[401], color_scheme=scheme)
    page.fill("#key", "no key")
    page.keyboard.press("Enter")
    expect(page.locator("#key-fault")).to_be_visible()
    assert faults(page) == []
