from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from app.problems import STATUS
from contract import errors
from contract.errors import DarkroomError

REACHES_A_CALLER = (
    errors.RequestError,
    errors.JobError,
    errors.ServiceError,
    errors.GenerationError,
)


def leaves() -> Iterator[type[DarkroomError]]:
    return (leaf for branch in REACHES_A_CALLER for leaf in branch.leaves())


def test_every_error_that_reaches_a_caller_has_a_status_and_no_other_has() -> None:
    assert set(STATUS) == {leaf.code for leaf in leaves()} | {DarkroomError.code}


def test_statuses_fit_the_branches() -> None:
    for leaf in leaves():
        if issubclass(leaf, errors.TooMuchWaiting | errors.OverQuota):
            assert STATUS[leaf.code] == 429
            continue
        is_ours = issubclass(leaf, errors.ServiceError | errors.GenerationError)
        assert STATUS[leaf.code] // 100 == (5 if is_ours else 4), leaf


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/nothing/here", 404, "not_found"),
        ("PUT", "/generate", 405, "method_not_allowed"),
        ("POST", "/jobs/1", 405, "method_not_allowed"),
    ],
)
async def test_what_no_route_answers_is_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert {"type", "title", "detail"} <= problem.keys()
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.anyio
async def test_an_unexpected_fault_tells_nothing_of_the_inside(
    client: httpx.AsyncClient, connection: Redis
) -> None:
    connection.set("darkroom:models", "not a hash")
    response = await client.get("/models")
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "WRONGTYPE" not in response.text


@pytest.mark.anyio
async def test_no_other_site_may_read_the_answers(client: httpx.AsyncClient, model: str) -> None:
    headers = {"Origin": "http://example.com"}
    response = await client.get("/models", headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control")]
