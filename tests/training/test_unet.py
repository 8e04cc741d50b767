from pathlib import Path

import pytest
import torch

from training.data import PictureSet
from training.errors import TrainingError
from training.export import load_pipeline
from training.latents import plan
from training.recipes import TINY
from training.unet import Painter, UnetStage


@pytest.fixture
def stage(trained: Path, pictures: PictureSet) -> UnetStage:
    parts, _ = load_pipeline(trained / "models" / "starter")
    painter = Painter(parts.tokenizer, parts.text_encoder, parts.unet, parts.vae, TINY.unet)
    sources = plan(pictures, TINY.unet)
    latents = torch.zeros(len(sources), 4, 4, 4)
    return UnetStage("refined", TINY.unet, TINY.look, painter, pictures.concepts, sources, latents)


def test_a_favoured_label_comes_so_many_times_as_often(stage: UnetStage) -> None:
    places = list(range(len(stage.choices)))
    stage.favour([stage.labels()[1], "no label of ours"], 4)
    drawn = [stage.choices.index(choices) for choices in stage.drawn]
    assert sorted(drawn) == sorted([*places, 1, 1, 1])


def test_it_goes_on_from_what_was_saved(stage: UnetStage, tmp_path: Path) -> None:
    before = {name: value.half().float() for name, value in stage.model.state_dict().items()}
    stage.save(tmp_path)
    stage.model.float()
    with torch.no_grad():
        for weight in stage.model.parameters():
            weight.zero_()
    stage.go_on_from(tmp_path)
    after = stage.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_damaged_start_is_one_sentence(stage: UnetStage, tmp_path: Path) -> None:
    stage.save(tmp_path)
    (tmp_path / "unet" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match="is missing or damaged"):
        stage.go_on_from(tmp_path)
