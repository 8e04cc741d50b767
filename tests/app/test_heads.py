"""HEAD is answered as GET is, without the body."""

import httpx
import pytest
from rq import Queue

from tests.app.conftest import develop


@pytest.fixture
def job(url: str, jobs: Queue) -> str:
    """The path of one that has ended."""
    path = httpx.post(f"{url}/generate", json={"prompt": "a"}).headers["location"]
    develop(jobs)
    return str(path)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/jobs", "/v1/models", "{job}", "{job}/images/0", "/none"]
)
def test_the_head_is_that_of_a_get(url: str, job: str, path: str) -> None:
    path = path.replace("{job}", job)
    with httpx.Client(base_url=url) as client:
        head, whole = client.head(path), client.get(path)
    assert head.content == b""
    assert whole.content
    for answer in (head, whole):
        for name in ("date", "x-request-id"):
            answer.headers.pop(name, None)
    assert (head.status_code, head.headers) == (whole.status_code, whole.headers)


def test_a_stream_of_events_ends_with_its_head(url: str, jobs: Queue) -> None:
    job = httpx.post(f"{url}/generate", json={"prompt": "a"}).headers["location"]
    with httpx.Client(base_url=url, timeout=10.0) as client:
        head = client.head(f"{job}/events")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert client.get("/healthz").status_code == 200  # on the same connection


def test_a_range_is_for_get(url: str, job: str) -> None:
    head = httpx.head(f"{url}{job}/images/0", headers={"Range": "bytes=0-1"})
    assert head.status_code == 200


def test_what_cannot_be_got_has_no_head(url: str) -> None:
    assert httpx.head(f"{url}/generate").status_code == 405
