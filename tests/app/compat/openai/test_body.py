"""What may stand in a body, as the SDK's errors tell."""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import ValidationError

from app.compat.openai.body import OURS, PARAMS, ImagesBody
from app.compat.openai.qualities import STEPS
from contract.request import MOST_STEPS, GenerateRequest

pytestmark = pytest.mark.usefixtures("model")

NULLS = dict.fromkeys(set(ImagesBody.model_fields) - {"prompt"} | {"svg", "frame_count", *OURS})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": "a" * 4001}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"n": 0}, "n"),
    ({"n": 11}, "n"),
    ({"n": 10**30}, "n"),
    ({"n": "2"}, "n"),
    ({"n": True}, "n"),
    ({"n": 1.5}, "n"),
    ({"size": "garbage"}, "size"),
    ({"size": ""}, "size"),
    ({"size": 512}, "size"),
    ({"size": "0x0"}, "size"),
    ({"size": "-64x64"}, "size"),
    ({"size": "64x64\n"}, "size"),
    ({"size": "٦٤x٦٤"}, "size"),
    ({"size": "100x101"}, "size"),
    ({"size": "99999999999x64"}, "size"),
    ({"size": "3840x2160"}, "size"),
    ({"quality": "best"}, "quality"),
    ({"quality": "max", "sampler": "lcm"}, "quality"),
    ({"steps": 100, "sampler": "lcm"}, "steps"),
    ({"steps": 0}, "steps"),
    ({"response_format": "jpeg"}, "response_format"),
    ({"output_format": "gif"}, "output_format"),
    ({"output_format": "svg"}, "output_format"),
    ({"output_compression": 101, "output_format": "webp"}, "output_compression"),
    ({"output_compression": 80}, "output_compression"),
    ({"background": "transparent"}, "background"),
    ({"stream": "yes"}, "stream"),
    ({"partial_images": 4, "stream": True}, "partial_images"),
    ({"partial_images": 2}, "partial_images"),
    ({"stream": True, "response_format": "url"}, "response_format"),
    ({"frame_count": 9}, "frame_count"),
    ({"svg": {"model": "x"}}, "svg"),
    ({"user": "u" * 513}, "user"),
    ({"guidance": "7"}, "guidance"),
    ({"seed": 2**32 - 1, "n": 2}, "seed"),
    ({"seed": -1}, "seed"),
    ({"sampler": "magic"}, "sampler"),
    ({"priority": "highest"}, "priority"),
    ({"tags": {"a": 1}}, "tags.a"),
    ({"webhook": "https://example.com"}, "webhook"),
    ({"width": 64}, "width"),
    ({"seeds": 1}, "seeds"),
]


def asked(**fields: object) -> GenerateRequest:
    return ImagesBody.model_validate({"prompt": "a"} | fields).asked(None)


def refusal(sdk: OpenAI, fields: dict[str, Any]) -> tuple[str, str]:
    """The parameter and the code of the error that these fields are."""
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.images.generate(prompt="a", extra_body=fields)
    error = caught.value
    assert error.type == "invalid_request_error"
    assert error.request_id
    assert isinstance(error.body, dict)
    assert error.body.keys() == {"message", "type", "param", "code"}
    return str(error.param), str(error.code)


def test_what_cannot_be_done_is_400_and_names_the_parameter(sdk: OpenAI) -> None:
    found = [refusal(sdk, fields) for fields, _ in REFUSED]
    assert [param for param, _ in found] == [param for _, param in REFUSED]
    codes = {"invalid_request", "unsupported_size", "unsupported_steps"}
    assert {code for _, code in found} == codes


def test_a_body_that_is_no_object_of_json_is_an_error_in_the_same_form(url: str) -> None:
    bodies = [b"", b"{", b"[]", b'"a"', b"null", b"[" * 60_000, b'{"prompt":"a","seed":NaN}']
    for content in [*bodies, b'{"prompt":"a","x\\ud800":1}', b'{"prompt":"\\ud800"}']:
        answer = post(url, content)
        assert answer.status_code == 400, content[:40]
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["param"] in (None, "seed", "prompt", "x?"), content[:40]
    assert post(url, b" " * 70_000).status_code == 413
    assert post(url, b"{}", "text/plain").status_code == 400


def post(url: str, content: bytes, media_type: str = "application/json") -> httpx.Response:
    headers = {"Content-Type": media_type}
    return httpx.post(f"{url}/v1/images/generations", content=content, headers=headers)


def test_null_is_as_good_as_left_out() -> None:
    assert asked(**NULLS) == asked() == GenerateRequest(prompt="a", size_policy="fit")


def test_what_clients_send_from_habit_changes_nothing() -> None:
    habits = {"moderation": "low", "style": "vivid", "complexity": "high", "background": "auto"}
    assert asked(**habits, size="auto", quality="auto", response_format="b64_json") == asked()


def test_a_quality_is_a_number_of_steps_unless_the_steps_are_named() -> None:
    assert {quality: asked(quality=quality).steps for quality in STEPS} == dict(STEPS)
    assert asked(quality="standard").steps == asked().steps
    assert asked(quality="max", steps=3).steps == 3
    assert max(STEPS.values()) <= MOST_STEPS


def test_our_fields_pass_as_they_are() -> None:
    fields: dict[str, Any] = {"negative_prompt": "b", "guidance": 2.5, "seed": 4, "priority": "low"}
    request = asked(n=2, size="64x128", sampler="euler", **fields)
    assert request.model_dump(include={*fields}) == fields
    assert (request.images, request.width, request.height, request.sampler) == (2, 64, 128, "euler")


def test_the_compression_is_the_quality_of_lossy_formats() -> None:
    assert [asked(output_format=each).quality for each in ("png", "jpeg", "webp")] == [
        None,
        100,
        100,
    ]
    assert asked(output_format="webp", output_compression=0).quality == 1


def test_the_default_of_the_compression_may_be_said_of_a_png() -> None:
    assert [
        asked(output_format=each, output_compression=100).quality for each in ("png", None)
    ] == [
        None,
        None,
    ]


def test_the_user_is_kept_as_a_tag_and_the_newer_name_wins() -> None:
    assert asked(user="u").tags == asked(user="v", safety_identifier="u").tags
    assert asked(user="u", tags={"a": "b"}).tags == {"a": "b", "safety_identifier": "u"}
    assert asked(user="u", safety_identifier="").tags == {"safety_identifier": "u"}


def test_every_field_of_ours_is_taken_or_has_a_name_of_theirs() -> None:
    named = {*OURS, *PARAMS, "prompt", "model", "size_policy"}
    assert named == set(GenerateRequest.model_fields)


def test_a_field_is_shown_as_post_generate_shows_it() -> None:
    shown = ImagesBody.model_json_schema()["properties"]
    assert shown["steps"] == GenerateRequest.model_json_schema()["properties"]["steps"]


def test_a_body_needs_a_prompt() -> None:
    with pytest.raises(ValidationError, match="prompt"):
        ImagesBody.model_validate({})
