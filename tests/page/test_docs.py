"""The API's page, which shares its origin with the page that keeps a key."""

from playwright.sync_api import Page, expect

from tests.page.conftest import Api, Visit


def requests_of(page: Page) -> list[str]:
    """Those that it is about to make."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def test_the_apis_page_tries_an_operation_and_asks_no_other_host(api: Api, visit: Visit) -> None:
    page = visit(api)  # the console has nothing to say, as of a policy that is in the way
    asked = requests_of(page)
    page.goto(f"{api.url}/docs")
    operation = page.locator(".opblock", has_text="/models").first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text("starter")
    assert f"{api.url}/models" in asked
    assert [url for url in asked if not url.startswith((f"{api.url}/", "data:"))] == []
