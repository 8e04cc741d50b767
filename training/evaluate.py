"""`python -m training.evaluate`: measures the finished model and writes its card.

Everything that MODEL_CARD.md claims is measured here, from the folders that are shipped. Needs the
pictures of `python -m training data`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from training import data
from training.card import write_card
from training.clip import Clip, embed_pictures, embed_texts, load_clip, retrieval
from training.data import PictureSet, to_uint8
from training.device import choose_device
from training.errors import TrainingError
from training.gallery import Asked, Gallery
from training.neighbours import nearest
from training.recipe import Recipe
from training.recipes import FULL
from training.score import Score, score
from training.sheet import save_sheet
from training.vae import decode, encode, load_vae, psnr

FIRST_LABELS = Path(__file__).with_name("first_labels.txt")
ASKED = Asked(steps=30, guidance=5.0, seed=0)
MANY = 1000
SHOWN = 64
SHOWN_SEED = 2
COMBINATIONS = (
    "blue cat", "two apples", "green heart", "purple elephant", "three mushrooms", "red fish",
    "yellow car", "pink penguin", "two cats", "orange butterfly", "blue rose", "green dog",
    "glossy apple", "apple and banana", "cat with a hat", "a house on a mountain",
)  # fmt: skip
COPIES = 16
EXPECTED = {
    "vae_psnr_db": 25.0,
    "clip_top1": 0.40,
    "first_labels.first": 0.95,
    "many_labels.first": 0.70,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    vae_psnr_db: float  # mean over held-out concepts, all styles
    vae_psnr_worst_tenth_db: float
    clip_top1: float  # among 500 pictures of the style held out
    first_labels: Score
    many_labels: Score
    true_first_labels: Score  # the same of the pictures that the model learned from
    true_many_labels: Score
    nearest_rms: float  # median over drawn pictures of the distance to the nearest known one
    known_rms: float  # the same among known pictures of one style
    seconds: float  # one picture of 20 steps
    threads: int


def evaluate(
    recipe: Recipe, pictures: PictureSet, models: Path, sheets: Path, asked: Asked = ASKED
) -> Evaluation:
    """Measures everything, and leaves contact sheets in `sheets`."""
    device = choose_device()
    gallery = Gallery(models / "starter", device)
    judge = load_clip(models / "judge", device)
    best, worst = _reconstruction(recipe, pictures, models, sheets)
    first = FIRST_LABELS.read_text(encoding="utf-8").splitlines()
    many = some_labels(gallery.labels, MANY)
    drawn_first, drawn_many = gallery.draw(first, asked), gallery.draw(many, asked)
    _contact_sheets(gallery, asked, sheets)
    rows = pictures.rows(recipe.unet.style)
    style = pictures.pixels[rows]
    known = {pictures.concepts[pictures.concept_of[row]].label: row for row in rows}
    found = nearest(drawn_many, style)
    pairs = np.stack([drawn_many[:COPIES], style[found.rows[:COPIES]]], axis=1)
    save_sheet(sheets / "nearest.png", pairs.reshape(-1, *pairs.shape[2:]), 8)
    return Evaluation(
        vae_psnr_db=best,
        vae_psnr_worst_tenth_db=worst,
        clip_top1=_retrieval(recipe, pictures, models),
        first_labels=score(judge, first, drawn_first),
        many_labels=score(judge, many, drawn_many),
        true_first_labels=_true_score(judge, first, known, pictures),
        true_many_labels=_true_score(judge, many, known, pictures),
        nearest_rms=float(np.median(found.distances)),
        known_rms=float(np.median([_apart(style, row) for row in range(0, len(style), 8)])),
        seconds=gallery.seconds("red apple"),
        threads=torch.get_num_threads(),
    )


def _true_score(
    judge: Clip, labels: Sequence[str], known: Mapping[str, int], pictures: PictureSet
) -> Score:
    """What the judge says of true pictures: more cannot be asked of drawn ones."""
    shown = [label for label in labels if label in known]
    return score(judge, shown, pictures.pixels[[known[label] for label in shown]])


def some_labels(labels: Sequence[str], count: int) -> list[str]:
    """So many of them, always the same."""
    order = np.random.default_rng(0).permutation(len(labels))
    return [labels[place] for place in order[:count]]


def _reconstruction(
    recipe: Recipe, pictures: PictureSet, models: Path, sheets: Path
) -> tuple[float, float]:
    """PSNR of the shipped autoencoder on concepts that it never saw: mean, worst tenth; in dB."""
    vae = load_vae(models / "starter" / "vae", choose_device())
    true = pictures.batch(np.flatnonzero(data.held_out(pictures, recipe.data)))
    made, before = to_uint8(decode(vae, encode(vae, true))), to_uint8(true)
    shown = np.linspace(0, len(made) - 1, 32).astype(int)
    pairs = np.stack([before[shown], made[shown]], axis=1)
    save_sheet(sheets / "reconstructions.png", pairs.reshape(-1, *pairs.shape[2:]), 8)
    ratios = psnr(made, before)
    return float(ratios.mean()), float(np.quantile(ratios, 0.1))


def _retrieval(recipe: Recipe, pictures: PictureSet, models: Path) -> float:
    """Top-1 among pictures of the style that CLIP never saw, each looked for by its label."""
    clip = load_clip(models / "parts" / "clip", choose_device())
    rows = pictures.rows(recipe.clip.held_out_style)
    order = np.random.default_rng(recipe.clip.candidates_seed).permutation(len(rows))
    rows = rows[order[: recipe.clip.candidates]]
    labels = [pictures.concepts[number].label for number in pictures.concept_of[rows]]
    return retrieval(embed_texts(clip, labels), embed_pictures(clip, pictures.batch(rows)))


def _contact_sheets(gallery: Gallery, asked: Asked, sheets: Path) -> None:
    shown, combined = some_labels(gallery.labels, SHOWN), list(COMBINATIONS)
    drawn = gallery.draw(shown, replace(asked, seed=SHOWN_SEED))
    save_sheet(sheets / "contact.png", drawn, 8, shown)
    save_sheet(sheets / "combinations.png", gallery.draw(combined, asked), 8, combined)


def _apart(style: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], row: int) -> float:
    others = np.delete(style, row, axis=0)
    return float(nearest(style[row : row + 1], others).distances[0])


def missed(found: Evaluation) -> list[str]:
    """The bars that the model misses, as sentences."""
    values = {
        "vae_psnr_db": found.vae_psnr_db,
        "clip_top1": found.clip_top1,
        "first_labels.first": found.first_labels.first,
        "many_labels.first": found.many_labels.first,
    }
    return [
        f"{name} is {values[name]:.3f}, expected at least {least}"
        for name, least in EXPECTED.items()
        if values[name] < least
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 where every bar is reached, 1 where one is missed or something is missing."""
    parser = argparse.ArgumentParser("python -m training.evaluate", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".training"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args(arguments)
    starter = options.models / "starter"
    try:
        pictures = data.load_pictures(FULL.data, options.work / "pictures")
        found = evaluate(FULL, pictures, options.models, starter / "pictures")
    except TrainingError as error:
        sys.stderr.write(f"evaluation: {error}\n")
        return 1
    text = json.dumps(asdict(found), indent=2) + "\n"
    (starter / "evaluation.json").write_text(text, encoding="utf-8")
    write_card(found, options.models)
    sys.stdout.write(text)
    for sentence in missed(found):
        sys.stderr.write(f"missed: {sentence}\n")
    return 1 if missed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
