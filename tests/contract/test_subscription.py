"""What may be asked for beside the picture."""

from typing import Any

import pytest
from pydantic import ValidationError

from contract.request import GenerateRequest
from contract.subscription import ENDS


def asked(**fields: Any) -> GenerateRequest:
    return GenerateRequest.model_validate({"prompt": "a"} | fields)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTP://example.com/hook?key=a%20b",
        "https://xn--bcher-kva.example:8443/a/b",
        "http://93.184.216.34/",
        "https://[2606:4700::1111]:443/",
        "http://my_host/hook",
    ],
)
def test_a_url_is_taken_as_it_is(url: str) -> None:
    assert asked(webhook=url).webhook == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:example.com",
        "https:///hook",
        "https://",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://example.com@127.0.0.1/",
        "https://example.com./",
        "http://127.0.0.1./",
        "https://example..com",
        "https://.example.com",
        "https://" + "a" * 64 + ".com",
        "https://" + "a." * 130 + "com",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:/",
        "https://example.com:80:80/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\n",
        "https://bücher.example/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://[::1%25eth0]/",
        "http://[::1]x/",
        "http://[::1/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_two_readers_might_read_in_two_ways_is_no_url(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        asked(webhook=url)
    assert [fault["loc"] for fault in caught.value.errors()] == [("webhook",)]


def test_a_webhook_is_told_of_the_end_unless_it_asks_for_something_else() -> None:
    url = "https://example.com"
    ends, start = asked(webhook=url), asked(webhook=url, webhook_events=["job.started"])
    assert ends.subscription is not None
    assert ends.subscription.events == list(ENDS)
    assert start.subscription is not None
    assert start.subscription.events == ["job.started"]
    assert asked().subscription is None


@pytest.mark.parametrize(
    "fields",
    [
        {"webhook_events": []},
        {"webhook_events": ["job.done"]},
        {"webhook_events": ["job.failed", "job.failed"]},
        {"webhook": None, "webhook_events": ["job.failed"]},
        {"tags": {"a": 1}},
        {"tags": {"": "a"}},
        {"tags": {"a" * 65: "a"}},
        {"tags": {"a": "b" * 513}},
        {"tags": {str(n): "a" for n in range(17)}},
        {"tags": {str(n): "ü" * 200 for n in range(11)}},
        {"tags": ["a"]},
    ],
)
def test_events_and_tags_have_bounds(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(**{"webhook": "https://example.com"} | fields)


def test_tags_are_kept_as_they_are() -> None:
    assert asked(tags={"order": " größer "}).tags == {"order": " größer "}
    assert asked().tags == {}
