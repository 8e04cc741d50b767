"""The folders that are committed: what the card says of them is true."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from training.card import STAGES, stage_table, weights_table
from training.card import card as made
from training.clip import load_clip
from training.emoji import first_labels
from training.evaluate import missed
from training.evaluation import load
from training.gallery import Asked, Gallery
from training.parts import weights_bytes
from training.score import ranks
from training.sources import LABELS, SETS

MODELS = Path(__file__).parents[2] / "models"
STARTER, JUDGE = MODELS / "starter", MODELS / "judge"
ASKED = Asked(steps=20, guidance=5.0, seed=0)
LABELS_TRIED = 40


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return Gallery(STARTER, torch.device("cpu"))


@pytest.fixture(scope="module")
def card() -> str:
    return (STARTER / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_diffusers_loads_the_starter_as_it_is(gallery: Gallery) -> None:
    assert gallery.pipeline.unet.config.sample_size * gallery.pipeline.vae_scale_factor == 128
    assert gallery.pipeline.scheduler.config.prediction_type == "v_prediction"
    assert len(gallery.labels) > 1000


def test_the_card_names_the_very_weights_and_stages(card: str) -> None:
    assert weights_table(MODELS) in card
    assert stage_table(MODELS) in card
    assert set(STAGES) == set(re.findall(r"^\| (\w+) \| `[0-9a-f]{16}`", card, re.MULTILINE))


def test_the_card_is_what_was_measured_and_nobody_edited_it(card: str) -> None:
    assert card == made(load(STARTER), MODELS), "write it anew: python -m training.card"


def test_every_bar_is_reached() -> None:
    assert missed(load(STARTER)) == []


def test_the_weights_are_small() -> None:
    assert weights_bytes(STARTER) <= 40e6
    assert weights_bytes(JUDGE) <= 10e6


def test_every_source_has_its_licence() -> None:
    licences = (STARTER / "LICENSES").read_text(encoding="utf-8")
    for package in (*(each.package for each in SETS), LABELS):
        assert f"{package.name} {package.version}" in licences


def test_the_judge_knows_what_the_starter_draws(gallery: Gallery) -> None:
    labels = first_labels()
    tried = labels[:: len(labels) // LABELS_TRIED][:LABELS_TRIED]
    others = [label for label in labels if label not in tried]
    drawn = gallery.draw(tried, ASKED)
    places = ranks(load_clip(JUDGE, torch.device("cpu")), [*tried, *others], drawn)
    assert len(places) == LABELS_TRIED
    assert np.mean(places == 0) >= 0.8
