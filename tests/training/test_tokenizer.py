"""Byte-pair encoding in CLIP's format."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from training.data import PictureSet
from training.errors import TrainingError
from training.recipes import TINY
from training.tokenizer import (
    build_tokenizer,
    corpus,
    learn_merges,
    load_tokenizer,
    save_tokenizer,
    token_ids,
)


@pytest.fixture
def tokenizer(pictures: PictureSet, tmp_path: Path) -> CLIPTokenizer:
    texts = corpus(pictures.concepts, pictures.styles, TINY.tokenizer)
    save_tokenizer(build_tokenizer(learn_merges(texts, 40)), 12, tmp_path)
    return load_tokenizer(tmp_path)


def test_the_most_frequent_pair_is_joined_first() -> None:
    assert learn_merges(["low low lower"], 3) == [("l", "o"), ("lo", "w</w>"), ("e", "r</w>")]


def test_merges_end_when_nothing_is_left_to_join() -> None:
    assert learn_merges(["ab"], 10) == [("a", "b</w>")]


def test_any_text_survives_there_and_back(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("a red Ünïcode 🍎 picture")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "a red ünïcode 🍎 picture"


def test_rows_are_filled_with_the_end_token(tokenizer: CLIPTokenizer) -> None:
    ids = token_ids(tokenizer, ["a", ""])
    assert ids.shape == (2, 12)
    assert (ids[:, 0] == tokenizer.bos_token_id).all()
    assert (ids[1, 1:] == tokenizer.eos_token_id).all()
    short = token_ids(tokenizer, ["a", ""], full_length=False)
    assert short.shape == (2, 3)
    assert torch.equal(short, ids[:, :3])


def test_a_long_text_is_cut_but_keeps_its_end(tokenizer: CLIPTokenizer) -> None:
    ids = token_ids(tokenizer, ["zq " * 40])
    assert ids.shape == (1, 12)
    assert ids[0, -1] == tokenizer.eos_token_id


def test_a_missing_tokenizer_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="python -m training tokenizer"):
        load_tokenizer(tmp_path)
