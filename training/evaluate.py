"""`python -m training.evaluate`: measures the finished model and writes its card.

What the tables of MODEL_CARD.md say is measured here, from the folders that are shipped. Needs the
pictures of `python -m training data`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from training import data, evaluation
from training.card import write_card
from training.clip import Clip, embed_pictures, embed_texts, load_clip, retrieval
from training.data import PictureSet, to_uint8
from training.device import choose_device
from training.emoji import first_labels
from training.errors import TrainingError
from training.evaluation import Evaluation
from training.gallery import Asked, Gallery
from training.latents import plan
from training.neighbours import nearest
from training.parts import weights_bytes
from training.recipe import Recipe
from training.recipes import FULL
from training.score import Score, score
from training.sheet import save_sheet
from training.texts import taught
from training.vae import decode, encode, load_vae, psnr

ASKED = Asked(steps=30, guidance=4.0, seed=0)
MANY = 1000
SHOWN = 64
SHOWN_SEED = 2
THREADS = 2  # with which the time of a picture is measured
COMBINATIONS = (
    "blue cat", "two apples", "green heart", "three mushrooms", "pink penguin", "two cats",
    "blue rose", "glossy apple", "purple elephant", "yellow car", "two blue cats",
    "three green dogs", "green elephant", "four apples", "red apple and banana", "cat and dog",
    "cat with a hat", "dog on a boat", "penguin in a car", "a house on a mountain",
    "small red fish", "blue banana and red fish", "a tree and the moon", "glossy blue cat",
)  # fmt: skip
"""Some of these are captions of training pictures, recoloured or repeated; which, is found out."""
COPIES = 16
AT_LEAST = {
    "vae_psnr_db": 25.0,
    "clip_top1": 0.40,
    "first_labels.first": 0.95,
    "many_labels.first": 0.70,
}
AT_MOST = {"seconds": 2.0, "starter_mb": 40.0, "judge_mb": 10.0}


def evaluate(
    recipe: Recipe, pictures: PictureSet, models: Path, sheets: Path, asked: Asked = ASKED
) -> Evaluation:
    """Measures everything, and leaves contact sheets in `sheets`."""
    device = choose_device()
    gallery = Gallery(models / "starter", device)
    judge = load_clip(models / "judge", device)
    on_cpu = Gallery(models / "starter", torch.device("cpu"))
    best, worst = _reconstruction(recipe, pictures, models, sheets)
    first = first_labels()
    many = some_labels(gallery.labels, MANY)
    drawn_first, drawn_many = gallery.draw(first, asked), gallery.draw(many, asked)
    _contact_sheets(gallery, asked, sheets, _captions(recipe, pictures))
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
        true_first_labels=_true_score(judge, first, known, lambda rows: pictures.pixels[rows]),
        true_many_labels=_true_score(judge, many, known, lambda rows: pictures.pixels[rows]),
        rebuilt_first_labels=_true_score(
            judge, first, known, lambda rows: _rebuilt(gallery.pipeline.vae, pictures.batch(rows))
        ),
        nearest_rms=float(np.median(found.distances)),
        known_rms=float(np.median([_apart(style, row) for row in range(0, len(style), 8)])),
        seconds=on_cpu.seconds("red apple", THREADS),
        threads=THREADS,
        starter_mb=weights_bytes(models / "starter") / 1e6,
        judge_mb=weights_bytes(models / "judge") / 1e6,
    )


def _true_score(
    judge: Clip,
    labels: Sequence[str],
    known: Mapping[str, int],
    show: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
) -> Score:
    """What the judge says of true pictures, or of what became of them: more cannot be asked of
    drawn ones."""
    shown = [label for label in labels if label in known]
    rows = np.array([known[label] for label in shown], dtype=np.int64)
    return score(judge, shown, show(rows))


def _rebuilt(vae: AutoencoderKL, true: Tensor) -> NDArray[np.uint8]:
    """Through the autoencoder: a U-Net that knew all pictures by heart would draw no better."""
    return to_uint8(decode(vae, encode(vae, true)))


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
    made, before = _rebuilt(vae, true), to_uint8(true)
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


def _captions(recipe: Recipe, pictures: PictureSet) -> set[str]:
    """What the pictures were called that the U-Net learned from."""
    shown = [source.shown for source in plan(pictures, recipe.unet)]
    return taught(shown, pictures.concepts, recipe.unet.texts)


def _contact_sheets(gallery: Gallery, asked: Asked, sheets: Path, captions: set[str]) -> None:
    shown = some_labels(gallery.labels, SHOWN)
    drawn = gallery.draw(shown, replace(asked, seed=SHOWN_SEED))
    save_sheet(sheets / "contact.png", drawn, 8, shown)
    drawn = gallery.draw(COMBINATIONS, asked)
    for name, is_known in (("taught", True), ("new", False)):
        places = [n for n, text in enumerate(COMBINATIONS) if (text in captions) == is_known]
        if places:
            chosen = [COMBINATIONS[place] for place in places]
            save_sheet(sheets / f"{name}.png", drawn[places], 8, chosen)


def _apart(style: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], row: int) -> float:
    others = np.delete(style, row, axis=0)
    return float(nearest(style[row : row + 1], others).distances[0])


def missed(found: Evaluation) -> list[str]:
    """The bars that the model misses, as sentences."""

    def value(name: str) -> float:
        return float(attrgetter(name)(found))

    low = [
        f"{name} is {value(name):.3f}, expected at least {least}"
        for name, least in AT_LEAST.items()
        if not value(name) >= least
    ]
    return low + [
        f"{name} is {value(name):.3f}, expected at most {most}"
        for name, most in AT_MOST.items()
        if not value(name) <= most
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
        evaluation.save(found, starter)
        write_card(found, options.models)
    except TrainingError as error:
        sys.stderr.write(f"evaluation: {error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    low = missed(found)
    for sentence in low:
        sys.stderr.write(f"missed: {sentence}\n")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
