from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from darkroom import BadAddress, BadAnswer, InvalidRequest, ServiceFault, Unavailable
from darkroom.client import calls
from darkroom.client.calls import Reply


def reply(status: int, content: bytes = b"", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, content, 0.0)


def test_retry_after_is_seconds_or_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert reply(429, retry_after="7").retry_after_s == 7
    assert 28 < (reply(429, retry_after=at).retry_after_s or 0) <= 30
    assert reply(429, retry_after="soon").retry_after_s is None
    assert reply(429).retry_after_s is None


def test_a_problem_is_an_error_with_its_code_and_its_fields() -> None:
    error = reply(
        422,
        b'{"code": "unsupported_size", "detail": "width must be at most 128.", "title": "No",'
        b' "status": 422, "field": "width", "allowed": ["128"],'
        b' "errors": [{"field": "width", "message": "must be at most 128."}]}',
    ).error()
    assert isinstance(error, InvalidRequest)
    assert str(error) == "unsupported_size: width: width must be at most 128."
    assert (error.status, error.code, error.field) == (422, "unsupported_size", "width")
    assert (error.allowed, error.faults[0].field) == (("128",), "width")


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (reply(502, b"<html>"), Unavailable, "bad_gateway: HTTP status 502."),
        (reply(500, b"[1]"), ServiceFault, "internal_server_error: HTTP status 500."),
        (reply(308, location="https://a/"), BadAnswer, "The service answered 308 and leads to"),
    ],
)
def test_what_is_no_problem_document_is_an_error_as_well(
    answer: Reply, kind: type[Exception], sentence: str
) -> None:
    error = answer.error()
    assert isinstance(error, kind)
    assert str(error).startswith(sentence)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://a", "http://", "http://a b"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(BadAddress, match="is not the URL of a service"):
        calls.usable_url(url)


def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadAddress) as refusal:
        calls.key_headers("secret\n")
    assert "secret" not in str(refusal.value)
