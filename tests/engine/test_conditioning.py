import pytest
import torch

from tests.reference import diffusers_pipeline
from worker.engine.conditioning import PromptEncoder
from worker.engine.model import Model

TEXTS = ("a red circle", "", "Ünïcödé, 中文 & 🎨", "word " * 100)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_encoded_as_diffusers_encodes_it(model: Model, text: str) -> None:
    found = PromptEncoder(model).encode(text)
    pipeline = diffusers_pipeline(model, "euler")
    expected, _ = pipeline.encode_prompt(text, model.device, 1, False)
    assert found.embedding.shape == (model.token_limit, model.unet.config.cross_attention_dim)
    torch.testing.assert_close(found.embedding, expected[0], rtol=0, atol=0)


def test_the_empty_negative_prompt_is_encoded_as_diffusers_encodes_it(model: Model) -> None:
    pipeline = diffusers_pipeline(model, "euler")
    for nothing in (None, ""):
        _, expected = pipeline.encode_prompt("a", model.device, 1, True, negative_prompt=nothing)
        found = PromptEncoder(model).encode("").embedding
        torch.testing.assert_close(found, expected[0], rtol=0, atol=0)


def test_a_known_text_is_not_encoded_again(tiny: Model) -> None:
    prompts = PromptEncoder(tiny)
    first = prompts.encode("a red circle")
    assert (prompts.hits, prompts.misses) == (0, 1)
    assert prompts.encode("a red circle") is first
    assert prompts.encode("a red circle ") is not first
    assert (prompts.hits, prompts.misses) == (1, 2)


def test_the_text_that_was_longest_unused_makes_room(tiny: Model) -> None:
    prompts = PromptEncoder(tiny, capacity=2)
    for text in ("one", "two", "one", "three", "one"):
        prompts.encode(text)
    assert (prompts.hits, prompts.misses) == (2, 3)
    prompts.encode("two")
    assert prompts.misses == 4


def test_a_text_that_fits_is_not_cut_off(tiny: Model) -> None:
    assert PromptEncoder(tiny).encode("x" * (tiny.token_limit - 2)).cut_off == ""


def test_the_end_of_a_text_that_is_too_long_is_reported(tiny: Model) -> None:
    fits = "x" * (tiny.token_limit - 2)
    assert PromptEncoder(tiny).encode(f"{fits} yz").cut_off == "yz"


def test_the_starter_reports_the_words_that_did_not_fit(starter: Model) -> None:
    words = "a red circle " * 6 + "above a blue square and two small green stars"
    cut_off = PromptEncoder(starter).encode(words).cut_off
    assert cut_off
    assert words.endswith(cut_off)


def test_another_text_in_the_cache_does_not_change_an_embedding(tiny: Model) -> None:
    alone = PromptEncoder(tiny).encode("a red circle").embedding
    prompts = PromptEncoder(tiny)
    for text in TEXTS[1:]:
        prompts.encode(text)
    assert torch.equal(prompts.encode("a red circle").embedding, alone)
