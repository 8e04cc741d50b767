import json

from contract.infotext import infotext, recipe
from contract.request import PICTURE_FIELDS, GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.version import SINCE
from tests.contract.samples import FINGERPRINT, job_request, model_card


def test_every_field_is_known_to_make_the_picture_or_not() -> None:
    """What is left out is neither told by a picture nor keeps two requests from being equal."""
    assert set(JobRequest.model_fields) == PICTURE_FIELDS | {"previews", "priority", "fitted"}


def test_the_text_is_the_web_uis() -> None:
    request = job_request(negative_prompt="blue", seed=0, guidance=7)
    assert infotext(request, 1, FINGERPRINT) == (
        "a red circle\n"
        "Negative prompt: blue\n"
        "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 1, "
        "Size: 64x64, Model hash: 0123456789, Model: tiny, Version: darkroom"
    )


def test_what_is_zero_is_told_and_what_is_empty_is_not() -> None:
    text = infotext(job_request(seed=0, guidance=0), 0, "")
    assert "Negative prompt" not in text
    assert "Model hash" not in text
    assert "CFG scale: 0.0, Seed: 0," in text


def test_a_guidance_interval_is_told() -> None:
    request = job_request(guidance_start=0.2, guidance_stop=0.6)
    assert ", CFG scale: 7.5, Guidance start: 0.2, Guidance stop: 0.6, Seed:" in infotext(
        request, 0, ""
    )
    assert "Guidance" not in infotext(job_request(), 0, "")


def test_the_recipe_has_the_guidance_interval() -> None:
    request = job_request(guidance_stop=0.6)
    told = json.loads(recipe(request, 0, FINGERPRINT))["request"]
    assert told["guidance_stop"] == 0.6
    again = resolve(GenerateRequest.model_validate(told), model_card())
    assert again == request.model_copy(update={"metadata": True})


def test_a_picture_without_one_says_what_it_always_said() -> None:
    """Else it would be other bytes after an upgrade."""
    told = json.loads(recipe(job_request(), 0, FINGERPRINT))["request"]
    assert not SINCE.keys() & told.keys()


def test_a_value_with_a_separator_is_quoted() -> None:
    assert 'Model: "a, b: \\"c\\""' in infotext(job_request(model='a, b: "c"'), 0, "")


def test_the_recipe_makes_the_very_picture_alone() -> None:
    asked = GenerateRequest(prompt="a", seed=5, images=3, width=512, height=256, size_policy="fit")
    request = resolve(asked, model_card())
    told = json.loads(recipe(request, 2, FINGERPRINT))
    assert told["model_fingerprint"] == FINGERPRINT
    again = resolve(GenerateRequest.model_validate(told["request"]), model_card())
    assert again == request.model_copy(update={"seed": 7, "images": 1})
    assert recipe(again, 0, FINGERPRINT) == recipe(request, 2, FINGERPRINT)
