"""The OpenAPI page shows an example of each answer that an endpoint can give."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from app import views
from app.compat.openai.errors import CODES
from app.main import create_app
from app.problems import MEDIA_TYPE, STATUS
from app.settings import AppSettings
from app.views import JobsView, JobView, ModelsView, ReadyView
from contract.errors import DarkroomError
from contract.request import GenerateRequest

Operation = tuple[str, dict[str, Any]]


def operations() -> list[Operation]:
    paths = create_app(AppSettings()).openapi()["paths"]
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


ENDPOINTS = {
    "POST /generate",
    "GET /jobs",
    "GET /jobs/{job_id}",
    "POST /jobs/{job_id}/cancel",
    "POST /jobs/{job_id}/retry",
    "DELETE /jobs/{job_id}",
    "GET /jobs/{job_id}/events",
    "GET /jobs/{job_id}/images/{n}",
    "GET /models",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "POST /v1/images/generations",
    "GET /v1/images/{job_id}/{n}",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
}


def test_every_endpoint_is_there() -> None:
    assert {name for name, _ in operations()} == ENDPOINTS


@pytest.mark.parametrize(("name", "operation"), operations(), ids=lambda value: str(value)[:30])
def test_every_answer_has_an_example(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            assert content.get("example") or content.get("examples"), (name, status, media_type)
            assert "schema" in content or media_type == "text/plain", (name, status)


@pytest.mark.parametrize(("name", "operation"), operations(), ids=lambda value: str(value)[:30])
def test_errors_are_problem_documents_or_what_openai_makes_of_them(
    name: str, operation: dict[str, Any]
) -> None:
    is_ours = " /v1/" not in name
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            (content,) = response["content"].values()
            media_type = MEDIA_TYPE if is_ours else "application/json"
            assert list(response["content"]) == [media_type], (name, status)
            for code, example in content["examples"].items():
                problem = example["value"]
                if is_ours:
                    assert (problem["code"], problem["status"]) == (code, int(status))
                else:
                    assert problem["error"]["code"] == code


def error_codes(operation: dict[str, Any], status: str) -> set[str]:
    """Of the examples of an answer."""
    content = operation["responses"][status].get("content", {}).values()
    return {code for each in content for code in each.get("examples", {})}


def test_every_error_is_shown_somewhere() -> None:
    shown = {
        code
        for _, operation in operations()
        for status in operation["responses"]
        for code in error_codes(operation, status)
        if int(status) >= 400
    }
    assert shown - {*CODES.values()} == set(STATUS) - {DarkroomError.code}


def test_whatever_writes_may_find_redis_away_or_full() -> None:
    for name, operation in operations():
        if name.startswith(("POST", "DELETE")):
            assert {"redis_unavailable", "queue_full"} <= error_codes(operation, "503"), name


def test_the_idempotency_key_and_its_answers_are_shown() -> None:
    operation = dict(operations())["POST /generate"]
    (header,) = [each for each in operation["parameters"] if each["name"] == "idempotency-key"]
    assert header["in"] == "header"
    assert header["description"]
    assert header["examples"]
    for status in ("200", "202"):
        headers = operation["responses"][status]["headers"].keys()
        assert headers == {"Location", "Idempotency-Replayed", "RateLimit-Policy", "RateLimit"}
    shown = {
        (status, code)
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    }
    assert {
        ("422", "idempotency_key_reused"),
        ("410", "job_expired"),
        ("429", "too_much_waiting"),
        ("503", "store_unavailable"),
        ("504", "deadline_exceeded"),
    } <= shown


def test_references_lead_somewhere() -> None:
    schema = create_app(AppSettings()).openapi()
    assert "Problem" in schema["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & schema["components"]["schemas"].keys()


def test_the_request_has_an_example_that_is_valid() -> None:
    body = dict(operations())["POST /generate"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        GenerateRequest.model_validate(example["value"])


@pytest.mark.parametrize(
    ("view", "example"),
    [
        (JobView, views.QUEUED_EXAMPLE),
        (JobView, views.SUCCEEDED_EXAMPLE),
        (JobView, views.CANCELLED_EXAMPLE),
        (JobsView, views.JOBS_EXAMPLE),
        (ModelsView, views.MODELS_EXAMPLE),
        (ReadyView, views.READY_EXAMPLE),
    ],
)
def test_examples_are_what_the_answers_look_like(
    view: type[BaseModel], example: dict[str, Any]
) -> None:
    shown = view.model_validate_json(json.dumps(example)).model_dump(mode="json")
    assert shown.keys() == example.keys()
