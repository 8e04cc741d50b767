"""Whatever is asked within the OpenAPI document, or just beside it, is answered within it.

`make test` tries a few cases of each operation, `make fuzz` many.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import Event, Thread
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from rq import Queue
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.settings import AppSettings
from contract import queue
from contract.claims import take
from contract.endings import cancel
from contract.errors import ExecutionLost
from contract.identity import new_job_id
from tests.app.conftest import PNG, WORKER, develop
from tests.contract.samples import TTL_S, job_request

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
LIMIT_S = 10.0
ANSWERED_AT_THE_END = "/v1/images/generations"
LOOK_S = 0.005
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

Operation = APIOperation[Any, Any, Any, Any]


def document() -> BaseSchema:
    return openapi.from_dict(create_app(AppSettings()).openapi())


OPERATIONS = [each.ok() for each in document().get_all_operations()]


@pytest.fixture(name="settings")
def app_settings(redis_url: str, connection: Redis) -> AppSettings:
    """Nobody waits, and nothing is full: a 503 would be a fault."""
    return AppSettings(redis_url=redis_url, result_ttl_s=TTL_S, max_wait_s=0, max_queue=1_000_000)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def known(jobs: Queue) -> dict[str, list[str]]:
    """Ids of jobs, one for each thing that may have become of one."""
    ids = [new_job_id() for _ in range(4)]
    for job_id in ids[:3]:
        queue.enqueue(jobs, job_id, job_request(), TTL_S)
    develop(jobs, PNG)
    cancel(jobs.connection, ids[1])
    assert take(jobs, WORKER) is not None  # it runs, and goes on to
    queue.enqueue(jobs, ids[3], job_request(), TTL_S)
    return {"ended": ids[:2], "all": [*ids, new_job_id(), "no-job"]}


@contextmanager
def developing(jobs: Queue) -> Iterator[None]:
    """Each job ends at once."""
    stop = Event()

    def work() -> None:
        while not stop.wait(LOOK_S):
            with suppress(ExecutionLost):  # a caller who hangs up cancels its job
                develop(jobs, PNG)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_no_answer_is_outside_of_the_document(
    operation: Operation,
    url: str,
    session: requests.Session,
    known: dict[str, list[str]],
    jobs: Queue,
    request: pytest.FixtureRequest,
) -> None:
    cases = request.config.getoption("--fuzz-cases") // len(OPERATIONS)
    # A stream of what has not ended would not end either.
    ids = known["ended" if operation.path.endswith("/events") else "all"]

    # On the routes of others' APIs null is as good as nothing.
    lenient = operation.path.startswith("/v1/")
    checks = [each for each in CHECKS if not (lenient and each is negative_data_rejection)]

    @settings(
        max_examples=max(1, cases),
        deadline=None,
        database=None,
        derandomize=not request.config.getoption("--fuzz-anew"),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([operation.as_strategy(mode) for mode in MODES]), data=st.data())
    def answered_within(case: Case, data: st.DataObject) -> None:
        if "job_id" in case.path_parameters and data.draw(st.integers(0, 3)):
            case.path_parameters["job_id"] = data.draw(st.sampled_from(ids))
        case.call_and_validate(base_url=url, session=session, timeout=LIMIT_S, checks=checks)

    with developing(jobs) if operation.path == ANSWERED_AT_THE_END else nullcontext():
        answered_within()
