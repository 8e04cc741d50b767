import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.card import write_card
from training.clip import load_clip
from training.data import load_pictures
from training.errors import TrainingError
from training.evaluate import AT_LEAST, AT_MOST, evaluate, missed
from training.evaluation import FILE, Evaluation, load, save
from training.gallery import Asked
from training.neighbours import nearest
from training.recipes import TINY
from training.score import Score, ranks, score

PERFECT = Evaluation(
    vae_psnr_db=30.0,
    vae_psnr_worst_tenth_db=25.0,
    clip_top1=0.5,
    first_labels=Score(142, 1.0, 1.0),
    many_labels=Score(1000, 0.8, 0.9),
    true_first_labels=Score(142, 1.0, 1.0),
    true_many_labels=Score(1000, 0.9, 1.0),
    rebuilt_first_labels=Score(142, 1.0, 1.0),
    nearest_rms=10.0,
    known_rms=40.0,
    seconds=1.0,
    threads=2,
    starter_mb=30.0,
    judge_mb=9.0,
)
NONE = Score(1, 0.0, 0.0)
WORST = Evaluation(0.0, 0.0, math.nan, NONE, NONE, NONE, NONE, NONE, 0.0, 0.0, 9.0, 2, 41.0, 11.0)


@pytest.fixture(scope="module")
def evaluation(trained: Path) -> Evaluation:
    pictures = load_pictures(TINY.data, trained / "work" / "pictures")
    asked = Asked(steps=1, guidance=2.0, seed=0)
    found = evaluate(TINY, pictures, trained / "models", trained / "sheets", asked)
    write_card(found, trained / "models")
    return found


def test_everything_is_measured_on_the_shipped_folders(evaluation: Evaluation) -> None:
    assert evaluation.first_labels.labels == 142
    assert evaluation.many_labels.labels == 8
    assert 0 <= evaluation.many_labels.first <= evaluation.many_labels.among_five <= 1
    assert evaluation.vae_psnr_db > evaluation.vae_psnr_worst_tenth_db > 0
    assert evaluation.seconds > 0


def test_the_card_shows_what_was_measured(evaluation: Evaluation, trained: Path) -> None:
    card = (trained / "models" / "starter" / "MODEL_CARD.md").read_text()
    assert f"{evaluation.vae_psnr_db:.2f} dB" in card
    assert f"{evaluation.many_labels.first:.1%}" in card
    assert "$" not in card


def test_the_sheets_show_the_pictures(evaluation: Evaluation, trained: Path) -> None:
    for name in ("contact", "new", "nearest", "reconstructions"):
        with Image.open(trained / "sheets" / f"{name}.png") as sheet:
            assert sheet.width == 8 * TINY.data.size


def test_a_bar_that_is_missed_is_named() -> None:
    assert missed(PERFECT) == []
    assert [sentence.split()[0] for sentence in missed(WORST)] == [*AT_LEAST, *AT_MOST]


def test_an_evaluation_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save(PERFECT, tmp_path)
    assert load(tmp_path) == PERFECT


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_evaluation_says_what_to_run(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"run `python -m training\.evaluate`"):
        load(tmp_path)


def test_a_rank_counts_the_labels_that_fit_better(trained: Path) -> None:
    judge = load_clip(trained / "models" / "judge", torch.device("cpu"))
    pictures = load_pictures(TINY.data, trained / "work" / "pictures").pixels
    assert set(ranks(judge, ["one", "two", "three"], pictures[:3])) <= {0, 1, 2}
    alike = score(judge, ["same", "same"], pictures[:2])
    assert alike.first == 0.0  # equal labels cannot be told apart


def test_a_judge_that_tells_nothing_finds_nothing(trained: Path) -> None:
    judge = load_clip(trained / "models" / "judge", torch.device("cpu"))
    pictures = load_pictures(TINY.data, trained / "work" / "pictures").pixels[:3]
    for value in (0.0, math.nan):
        with torch.no_grad():
            judge.text_projection.weight.fill_(value)
        assert score(judge, ["one", "two", "three"], pictures) == Score(3, 0.0, 1.0)


def test_the_nearest_picture_of_a_copy_is_the_original() -> None:
    known = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    found = nearest(known[[7, 3]], known)
    assert found.rows.tolist() == [7, 3]
    assert found.distances.tolist() == [0.0, 0.0]
    assert nearest(255 - known[:1], known).distances[0] > 10
