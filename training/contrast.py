"""How CLIP is trained here: pictures of many styles, slightly moved and tinted, and their texts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPTokenizer

from training.clip import build_clip, contrastive_loss, embed_pictures, embed_texts, retrieval
from training.data import PictureSet
from training.device import use_plain_attention
from training.loop import Loss
from training.optimiser import Trained
from training.order import Draw
from training.recipe import AugmentationRecipe, ClipRecipe
from training.texts import Captioner, Shown
from training.tokenizer import token_ids
from training.variation import can_repeat, colours_of, is_colourful, vary

CHUNK = 256


def augment(pictures: Tensor, draw: Draw, recipe: AugmentationRecipe) -> Tensor:
    """Each picture a little moved, scaled, tinted and blurred; [rows, 3, size, size], -1 to 1."""
    rows = len(pictures)
    smallest, largest = recipe.scales
    scale = smallest + (largest - smallest) * draw.uniform(rows)
    shift = (2 * draw.uniform(rows, 2) - 1) * recipe.shift
    frame = torch.zeros(rows, 2, 3)
    frame[:, 0, 0] = frame[:, 1, 1] = 1 / scale
    frame[:, :, 2] = shift
    grid = F.affine_grid(frame, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures - 1, grid, align_corners=False) + 1  # outside is white
    contrast = 1 + recipe.tint * (2 * draw.uniform(rows, 3, 1, 1) - 1)
    moved = ((moved - 1) * contrast + 1).clamp(-1, 1)
    blurred = draw.uniform(rows) < recipe.blurred_share
    moved[blurred] = F.avg_pool2d(F.pad(moved[blurred], (1, 1, 1, 1), value=1.0), 3, stride=1)
    return moved + recipe.noise * draw.uniform(rows, 1, 1, 1) * draw.normal(*moved.shape)


class ClipStage:
    """Each batch holds no concept twice, so that each text has one right picture."""

    def __init__(
        self,
        name: str,
        recipe: ClipRecipe,
        pictures: PictureSet,
        tokenizer: CLIPTokenizer,
        device: torch.device,
    ) -> None:
        self.name, self.recipe, self.pictures, self.device = name, recipe, pictures, device
        self.model = build_clip(recipe, tokenizer).to(device)
        use_plain_attention(self.model.text)
        self.captioner = Captioner(pictures.concepts, recipe.texts)
        self.small = _shrink(pictures, recipe.picture_encoder.size)
        self.options = Options(self.small, recipe)
        self.rows_of = [rows for rows in _rows_by_concept(pictures, recipe.held_out_style) if rows]

    def trained(self) -> list[Trained]:
        return [Trained(self.model)]

    def loss(self, draw: Draw) -> Loss:
        pictures, texts = self._batch(draw)
        ids = token_ids(self.model.tokenizer, texts, full_length=False).to(self.device)
        text_points = self.model.text_points(ids)
        picture_points = self.model.picture_points(pictures.to(self.device))
        total = contrastive_loss(text_points, picture_points, self.model.scale)
        found = (text_points @ picture_points.T).argmax(dim=1)
        right = (found == torch.arange(len(found), device=found.device)).float().mean()
        return Loss(total, {"right": right, "scale": self.model.scale})

    def look(self, folder: Path, step: int) -> Mapping[str, float]:
        """Top-1 retrieval among pictures of the style that is held out; where none is, as for all
        of the first style, they are pictures that it learns from."""
        style = self.recipe.held_out_style or self.pictures.styles[0]
        return {
            f"top1_{style}": self._retrieval(style, self.recipe.candidates),
            f"top1_{self.pictures.styles[0]}_all": self._retrieval(self.pictures.styles[0], None),
        }

    def _retrieval(self, style: str, candidates: int | None) -> float:
        rows = self.pictures.rows(style)
        order = np.random.default_rng(self.recipe.candidates_seed).permutation(len(rows))
        rows = rows[order[:candidates]]
        concepts = self.pictures.concept_of[rows]
        labels = [self.pictures.concepts[number].label for number in concepts]
        points = embed_pictures(self.model, self.small.batch(rows))
        return retrieval(embed_texts(self.model, labels), points)

    def _batch(self, draw: Draw) -> tuple[Tensor, list[str]]:
        places = draw.rows(len(self.rows_of), self.recipe.optimisation.batch).tolist()
        candidates = [self.rows_of[place] for place in places]
        rows = [some[draw.place(len(some))] for some in candidates]
        shown = [self.options.choose(row, draw) for row in rows]
        pictures = self.small.batch(np.array(rows))
        vary(pictures, shown, self.recipe.variation)
        return augment(pictures, draw, self.recipe.augmentation), self.captioner.texts(shown, draw)


class Options:
    """In which ways each picture may be varied."""

    def __init__(self, pictures: PictureSet, recipe: ClipRecipe) -> None:
        self.pictures, self.recipe = pictures, recipe.variation
        self.repeatable = [can_repeat(each, recipe.variation) for each in pictures.concepts]
        self.colours = colours_of(pictures.concepts, recipe.texts, recipe.variation)
        chunks = np.array_split(np.arange(len(pictures)), -(-len(pictures) // CHUNK))
        self.is_colourful = torch.cat(
            [is_colourful(pictures.batch(chunk), recipe.variation) for chunk in chunks]
        )

    def choose(self, row: int, draw: Draw) -> Shown:
        """The picture as it is, or in another colour, or several times."""
        recipe = self.recipe
        concept = int(self.pictures.concept_of[row])
        style = self.pictures.styles[self.pictures.style_of[row]]
        chance, colours = float(draw.uniform(1)), self.colours[concept]
        if chance < recipe.recoloured_share:
            if colours and self.is_colourful[row]:
                return Shown(concept, style, colour=colours[draw.place(len(colours))])
        elif chance < recipe.recoloured_share + recipe.repeated_share and self.repeatable[concept]:
            return Shown(concept, style, number=recipe.numbers[draw.place(len(recipe.numbers))][0])
        return Shown(concept, style)


def _rows_by_concept(pictures: PictureSet, held_out_style: str) -> list[list[int]]:
    """[concepts]: the pictures that may be seen of each."""
    rows: list[list[int]] = [[] for _ in pictures.concepts]
    kinds = zip(pictures.concept_of, pictures.style_of, strict=True)
    for row, (concept, style) in enumerate(kinds):
        if pictures.styles[style] != held_out_style:
            rows[concept].append(row)
    return rows


def _shrink(pictures: PictureSet, size: int) -> PictureSet:
    """The same pictures at `size` pixels: each the mean of a square of pixels."""
    step = pictures.pixels.shape[1] // size
    shrunk = np.empty((len(pictures), size, size, 3), np.uint8)
    for row, picture in enumerate(pictures.pixels):
        shrunk[row] = picture.reshape(size, step, size, step, 3).mean(axis=(1, 3)).round()
    return replace(pictures, pixels=shrunk)
