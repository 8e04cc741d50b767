"""GET / and the files of the page."""

import httpx
import pytest

from app.page.site import Site
from app.settings import AppSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(settings: AppSettings) -> Site:
    return Site.of(settings)


async def test_the_page_is_asked_for_anew_and_sent_only_where_it_is_another(
    client: httpx.AsyncClient, site: Site
) -> None:
    first = await client.get("/")
    assert (first.status_code, first.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] == site.page.etag


async def test_files_of_this_version_are_kept_for_good_and_those_of_another_are_not(
    client: httpx.AsyncClient, site: Site
) -> None:
    for name, file in site.files.items():
        answer = await client.get(f"/assets/{site.version}/{name}")
        assert answer.content == file.content
        assert answer.headers["content-type"].startswith(file.media_type)
        assert "immutable" in answer.headers["cache-control"]
    older = await client.get("/assets/0123456789abcdef/main.js")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    etag = older.headers["etag"]
    again = await client.get("/assets/0123456789abcdef/main.js", headers={"If-None-Match": etag})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["none.js", "..%2Fsite.py", "page.html"])
async def test_what_is_no_file_of_the_page_is_not_found(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(f"/assets/0/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_policy_lets_nothing_in_but_our_own_files(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy
