"""That everybody can use the page, as far as axe-core can tell."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.page.conftest import PHONE, Api, Visit
from tests.page.test_page import develop, finished
from tests.waiting import until

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_LOOKS = ["color-contrast", "target-size"]


def faults(page: Page, rules: list[str] | None = None) -> list[tuple[str, str]]:
    """Of any weight, with where they are; by all rules, unless some are named."""
    which = {"type": "tag", "values": TAGS} if rules is None else {"type": "rule", "values": rules}
    options: dict[str, Any] = {"runOnly": which, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [(each["id"], node["html"]) for each in found for node in each["nodes"]]


def test_the_page_has_no_fault(api: Api, visit: Visit) -> None:
    page = visit(api, color_scheme="dark")
    done = finished(develop(page, "owl", steps=2))
    page.fill("#prompt", "")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#prompt-fault")).to_be_visible()
    card = develop(page, "owl", steps=150)
    until(card.locator("img.latent").is_visible)
    assert faults(page) == []
    card.locator(".act").click()
    done.locator(".print").click()
    until(page.locator("#viewer img.fixed").is_visible)
    assert faults(page) == []

    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    page.keyboard.press("Escape")
    assert faults(page, OF_LOOKS) == []


def test_the_door_has_no_fault(locked_api: Api, visit: Visit) -> None:
    page = visit(locked_api, refusals=[401], color_scheme="dark")
    page.fill("#key", "no-key")
    page.keyboard.press("Enter")
    expect(page.locator("#key-fault")).to_be_visible()
    assert faults(page) == []
    page.emulate_media(color_scheme="light")
    assert faults(page, OF_LOOKS) == []
