import pytest

from contract.finished import key_of
from contract.keys import KeyLimits
from contract.request import GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.sizes import Size
from tests.contract.samples import model_card

LARGE = model_card(width=128, height=96)  # sides are multiples of 16 from 32 to 128


def resolved(limits: KeyLimits, **fields: object) -> JobRequest:
    asked = GenerateRequest.model_validate({"prompt": "a", "seed": 1} | fields)
    return resolve(asked, LARGE, limits=limits)


def test_what_is_left_out_is_as_much_as_the_key_may_have() -> None:
    request = resolved(KeyLimits(max_steps=20, max_side=70, priority="low"))
    assert (request.steps, request.priority) == (20, "low")
    assert (request.width, request.height, request.is_resized) == (64, 48, False)
    told = {text.split(" is ")[0] for text in request.warnings}
    assert told == {"steps", "priority", "The size"}


def test_what_is_asked_for_stays() -> None:
    said = {"steps": 30, "width": 128, "height": 96, "priority": "normal"}
    request = resolved(KeyLimits(max_steps=20, max_side=70, priority="low"), **said)
    assert {name: getattr(request, name) for name in said} == said
    assert request.warnings == []


@pytest.mark.parametrize("limits", [KeyLimits(), KeyLimits(max_steps=30, max_side=128)])
def test_defaults_that_the_key_may_have_stay(limits: KeyLimits) -> None:
    request = resolved(limits)
    assert (request.steps, request.width, request.height) == (30, 128, 96)
    assert request.warnings == []


def test_what_is_to_be_fitted_is_drawn_no_larger_than_the_key_may_have() -> None:
    limits = KeyLimits(max_side=64)
    request = resolved(limits, width=128, height=128, size_policy="fit")
    assert (request.width, request.height, request.final_size) == (64, 64, Size(128, 128))
    assert request.warnings == [
        "This key cannot draw 128x128: the picture is drawn at 64x64 and resized."
    ]


def test_a_fitted_request_equals_one_that_says_so_and_leads_to_it() -> None:
    fitted = resolved(KeyLimits(max_steps=20))
    said = resolved(KeyLimits(), steps=20)
    assert key_of("", fitted, "") == key_of("", said, "")
    assert fitted.asked(1) == said.asked(1)


def test_a_key_for_less_than_the_model_draws_changes_no_size() -> None:
    assert resolved(KeyLimits(max_side=24)).final_size == Size(128, 96)
