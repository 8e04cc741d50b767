"""The pictures as the U-Net sees them: encoded once by the finished autoencoder, and kept."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.data import PictureSet
from training.emoji import Concept
from training.errors import TrainingError
from training.files import digest, write_whole
from training.order import Draw
from training.recipe import UnetRecipe
from training.texts import Shown
from training.vae import encode
from training.variation import can_repeat, colours_of, is_colourful, vary

LATENTS, NOTE = "latents.npy", "latents.json"
CHUNK = 64


@dataclass(frozen=True, slots=True)
class Source:
    """A picture of the set, and how it is changed before it is encoded."""

    row: int
    shown: Shown


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is of one concept, as places in the list of sources."""

    plain: list[int]  # in the default style: one
    styled: list[int]
    recoloured: list[int]
    repeated: list[int]


def plan(pictures: PictureSet, recipe: UnetRecipe) -> list[Source]:
    """Everything that is encoded, in a fixed order: the default style comes with variations."""
    colours = colours_of(pictures.concepts, recipe.texts, recipe.variation)
    sources: list[Source] = []
    for row, (concept, style_number) in enumerate(
        zip(pictures.concept_of.tolist(), pictures.style_of.tolist(), strict=True)
    ):
        style, named = pictures.styles[style_number], pictures.concepts[concept]
        if named.subgroup in recipe.left_out_subgroups:
            continue
        if style == recipe.style:
            sources += [Source(row, Shown(concept)), *_repeated(row, concept, named, recipe)]
            if bool(is_colourful(pictures.batch(np.array([row])), recipe.variation)):
                sources += [Source(row, Shown(concept, colour=each)) for each in colours[concept]]
        elif style in recipe.other_styles:
            sources.append(Source(row, Shown(concept, style)))
    return sources


def _repeated(row: int, concept: int, named: Concept, recipe: UnetRecipe) -> list[Source]:
    if not can_repeat(named, recipe.variation):
        return []
    return [Source(row, Shown(concept, number=number)) for number, _ in recipe.variation.numbers]


def choices_of(sources: Sequence[Source]) -> list[Choices]:
    """One for each concept that has a picture in the default style."""
    table: dict[int, Choices] = {}
    for place, source in enumerate(sources):
        choices = table.setdefault(source.shown.concept, Choices([], [], [], []))
        _kind(choices, source.shown).append(place)
    return [choices for choices in table.values() if choices.plain]


def _kind(choices: Choices, shown: Shown) -> list[int]:
    if shown.style:
        return choices.styled
    if shown.colour:
        return choices.recoloured
    return choices.repeated if shown.number else choices.plain


def choose(choices: Choices, draw: Draw, recipe: UnetRecipe) -> int:
    """A place in the list of sources. The share of a kind of which the concept has none goes to the
    next kind that it has, and in the end to the plain picture."""
    chance = float(draw.uniform(1))
    for share, places in (
        (recipe.styled_share, choices.styled),
        (recipe.variation.recoloured_share, choices.recoloured),
        (recipe.variation.repeated_share, choices.repeated),
    ):
        if chance < share and places:
            return places[draw.place(len(places))]
        chance -= share
    return choices.plain[0]


def make_latents(
    vae: AutoencoderKL, pictures: PictureSet, sources: Sequence[Source], recipe: UnetRecipe
) -> Tensor:
    """[sources, channels, h, w] float16, of standard deviation about 1."""
    chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
    made = []
    for chunk in tqdm(chunks, desc="encoding", unit="batch", mininterval=5.0):
        batch = pictures.batch(np.array([source.row for source in chunk]))
        vary(batch, [source.shown for source in chunk], recipe.variation)
        made.append(encode(vae, batch).half().cpu())
    return torch.cat(made)


def save_latents(latents: Tensor, fingerprint: str, folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, latents.numpy())
    note = {"fingerprint": fingerprint, "sha256": digest(buffer.getvalue())}
    write_whole(folder / LATENTS, buffer.getvalue())
    write_whole(folder / NOTE, json.dumps(note).encode())


def load_latents(fingerprint: str, folder: Path) -> Tensor | None:
    """What `save_latents` wrote; None where there is nothing, or only another recipe's.

    Raises:
        TrainingError: the file is damaged.
    """
    if not (folder / NOTE).is_file():
        return None
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        if note["fingerprint"] != fingerprint:
            return None
        content = (folder / LATENTS).read_bytes()
        if digest(content) != note["sha256"]:
            raise ValueError(LATENTS)
        array: NDArray[np.float16] = np.load(io.BytesIO(content))
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{folder} is damaged: delete it, and the next run encodes the pictures again."
        ) from error
    return torch.from_numpy(array)
