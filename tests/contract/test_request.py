import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.request import MOST_SEED, MOST_STEPS, GenerateRequest, JobRequest
from contract.samplers import SAMPLERS
from contract.version import CONTRACT_VERSION, SINCE
from tests.contract.samples import job_request

OF_VERSION_1 = {
    "prompt",
    "negative_prompt",
    "guidance",
    "steps",
    "sampler",
    "images",
    "format",
    "quality",
    "priority",
    "previews",
    "model",
    "seed",
    "width",
    "height",
    "resized_width",
    "resized_height",
    "metadata",
    "fitted",
}


def faults(**fields: Any) -> list[Any]:
    with pytest.raises(ValidationError) as caught:
        GenerateRequest.model_validate({"prompt": "a red circle"} | fields)
    return caught.value.errors(include_url=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", " \n\t "),
        ("prompt", "a" * 4001),
        ("prompt", "a\0b"),
        ("prompt", "\ud800"),
        ("prompt", None),
        ("prompt", 5),
        ("negative_prompt", "a\0b"),
        ("negative_prompt", "\udfff"),
        ("guidance", float("nan")),
        ("guidance", float("inf")),
        ("guidance", -0.1),
        ("guidance", 30.1),
        ("guidance", "7.5"),
        ("guidance", True),
        ("guidance_start", -0.01),
        ("guidance_start", 1.01),
        ("guidance_start", None),
        ("guidance_stop", 1.01),
        ("guidance_stop", float("nan")),
        ("guidance_stop", "0.6"),
        ("guidance_stop", True),
        ("steps", 0),
        ("steps", MOST_STEPS + 1),
        ("steps", 1.5),
        ("steps", 20.0),
        ("steps", "20"),
        ("steps", True),
        ("steps", None),
        ("sampler", "euler_b"),
        ("sampler", 3),
        ("seed", -1),
        ("seed", MOST_SEED + 1),
        ("seed", float("nan")),
        ("width", 60),
        ("width", 0),
        ("height", 8200),
        ("height", "64"),
        ("images", 0),
        ("images", 11),
        ("model", ""),
        ("model", "a\0b"),
        ("previews", -1),
        ("previews", 11),
        ("priority", "urgent"),
        ("priority", None),
    ],
)
def test_wrong_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    assert faults(**{field: value})[0]["loc"] == (field,)


def test_missing_prompt_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        GenerateRequest.model_validate({"steps": 3})
    assert caught.value.errors()[0]["loc"] == ("prompt",)


def test_every_fault_is_told_at_once() -> None:
    assert {fault["loc"] for fault in faults(steps=0, images=0)} == {("steps",), ("images",)}


def test_unknown_sampler_lists_the_valid_ones() -> None:
    message = faults(sampler="euler_b")[0]["msg"]
    assert all(name in message for name in SAMPLERS)


def test_last_picture_of_a_request_has_a_seed() -> None:
    assert faults(seed=MOST_SEED, images=2)[0]["ctx"]["field"] == "seed"
    assert GenerateRequest(prompt="a", seed=MOST_SEED - 9, images=10).images == 10


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"guidance_start": 1.0}, "guidance_start"),
        ({"guidance_stop": 0.0}, "guidance_stop"),
        ({"guidance_start": 0.5, "guidance_stop": 0.5}, "guidance_stop"),
        ({"guidance_start": 0.6, "guidance_stop": 0.4, "guidance": 1.0}, "guidance_stop"),
    ],
)
def test_guidance_that_ends_before_it_begins_is_refused(
    fields: dict[str, float], named: str
) -> None:
    (fault,) = faults(**fields)
    assert fault["ctx"]["field"] == named
    assert fault["msg"] == "guidance_start must be less than guidance_stop"


def test_steps_outside_of_the_interval_are_half_the_work() -> None:
    assert job_request(steps=30, images=2).row_steps == 2 * 60
    assert job_request(steps=30, images=2, guidance_stop=0.6).row_steps == 2 * (30 + 18)
    assert job_request(steps=30, guidance_start=0.2, guidance_stop=0.8).row_steps == 30 + 18
    assert job_request(steps=30, guidance_stop=0.6, guidance=1.0).row_steps == 30


def test_an_interval_is_named_where_it_changes_the_picture() -> None:
    assert job_request().approximations == []
    assert job_request(guidance_stop=0.6).approximations == ["guidance_interval"]
    assert job_request(guidance_start=0.2).approximations == ["guidance_interval"]
    assert job_request(guidance_start=0.01, steps=30).approximations == []
    assert job_request(guidance_stop=0.6, guidance=1.0).approximations == []


def test_every_field_says_since_which_version_workers_know_it() -> None:
    """One that is new here raises CONTRACT_VERSION and stands in SINCE."""
    assert JobRequest.model_fields.keys() - SINCE.keys() == OF_VERSION_1
    assert max(SINCE.values()) == CONTRACT_VERSION


def test_what_an_older_worker_can_draw_is_written_for_it() -> None:
    assert job_request().version == 1
    assert job_request(guidance_start=0.0, guidance_stop=1.0).version == 1
    for fields in ({"guidance_start": 0.2}, {"guidance_stop": 0.6}):
        assert job_request(**fields).version == 2


def test_bounds_themselves_are_allowed() -> None:
    for fields in (
        {"guidance": 0, "steps": 1, "seed": 0, "width": 8, "height": 8192, "images": 1},
        {"guidance": 30, "steps": MOST_STEPS, "seed": MOST_SEED, "prompt": "a" * 4000},
        {"guidance_start": 0, "guidance_stop": 1},
        {"guidance_start": 0.0, "guidance_stop": 0.01},
    ):
        GenerateRequest.model_validate({"prompt": "a"} | fields)


def test_text_is_trimmed() -> None:
    request = GenerateRequest(prompt="  a red circle\n", negative_prompt=" ")
    assert (request.prompt, request.negative_prompt) == ("a red circle", "")


def test_a_request_survives_json() -> None:
    request = GenerateRequest(prompt="ein grüner Kreis 🎨", guidance=3, seed=1)
    again = GenerateRequest.model_validate(json.loads(request.model_dump_json()))
    assert again == request


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused_in_a_sentence(prompt: str) -> None:
    with pytest.raises(ValidationError, match="Must say what to draw") as caught:
        GenerateRequest(prompt=prompt)
    assert caught.value.errors()[0]["loc"] == ("prompt",)
    assert GenerateRequest.model_json_schema()["properties"]["prompt"]["minLength"] == 1
