"""The pictures: rendered on white, kept in one file, checked before use."""

import io
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from training.emoji import Concept, Icon, collect
from training.errors import TrainingError
from training.files import digest, write_whole
from training.recipe import DataRecipe, fingerprint

PIXELS, INDEX = "pictures.npz", "pictures.json"


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Every picture with what it shows and how it is drawn."""

    pixels: NDArray[np.uint8]  # [pictures, size, size, 3], on white
    concept_of: NDArray[np.int64]  # [pictures], into `concepts`
    style_of: NDArray[np.int64]  # [pictures], into `styles`
    concepts: tuple[Concept, ...]
    styles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, rows: Tensor | NDArray[np.int64]) -> Tensor:
        """[rows, 3, size, size] float32 from -1 to 1."""
        pixels = torch.from_numpy(self.pixels[np.asarray(rows)])
        return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1.0).contiguous()

    def rows(self, style: str) -> NDArray[np.int64]:
        """The pictures of one style."""
        return np.flatnonzero(self.style_of == self.styles.index(style))

    def of_labels(self, labels: Collection[str]) -> NDArray[np.bool_]:
        """[pictures]: whether a picture shows one of these."""
        named = np.array([concept.label in labels for concept in self.concepts])
        shown: NDArray[np.bool_] = named[self.concept_of]
        return shown


def held_out(pictures: PictureSet, recipe: DataRecipe) -> NDArray[np.bool_]:
    """[pictures]: whether a picture's concept is kept back from training, in every style alike."""
    count = len(pictures.concepts)
    order = np.random.default_rng(recipe.split_seed).permutation(count)
    kept_back = np.zeros(count, dtype=bool)
    kept_back[order[: max(1, round(count * recipe.held_out_share))]] = True
    return kept_back[pictures.concept_of]


def to_uint8(pictures: Tensor) -> NDArray[np.uint8]:
    """[rows, 3, size, size] from -1 to 1 becomes [rows, size, size, 3] from 0 to 255."""
    scaled = pictures.detach().float().add(1.0).mul(127.5).round().clamp(0, 255)
    array: NDArray[np.uint8] = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return array


def render(icon: Icon, recipe: DataRecipe) -> NDArray[np.uint8]:
    """[size, size, 3]: the icon in the middle of a white square."""
    inner = recipe.size - 2 * recipe.margin
    large = inner * recipe.oversampling
    png = resvg_py.svg_to_bytes(
        svg_string=icon.svg, width=large, height=large, background="#ffffff", skip_system_fonts=True
    )
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    drawn.thumbnail((inner, inner), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (recipe.size, recipe.size), "white")
    square.paste(drawn, ((recipe.size - drawn.width) // 2, (recipe.size - drawn.height) // 2))
    return np.asarray(square)


def make_pictures(recipe: DataRecipe, cache: Path) -> PictureSet:
    """Fetches, parses and renders everything: a minute or two."""
    concepts, icons = collect(recipe, cache)
    place = {concept.code: number for number, concept in enumerate(concepts)}
    jobs = [(style, icon) for style in icons for icon in icons[style]]
    bar = tqdm(jobs, desc="rendering", unit="picture", mininterval=1.0)
    styles = tuple(icons)
    return PictureSet(
        pixels=np.stack([render(icon, recipe) for _, icon in bar]),
        concept_of=np.array([place[icon.code] for _, icon in jobs]),
        style_of=np.array([styles.index(style) for style, _ in jobs]),
        concepts=tuple(concepts),
        styles=styles,
    )


def save_pictures(pictures: PictureSet, recipe: DataRecipe, folder: Path) -> None:
    """Two files: the pictures, then what they are, with the first one's hash.

    Raises:
        TrainingError: the disk is full.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        pixels=pictures.pixels,
        concept_of=pictures.concept_of,
        style_of=pictures.style_of,
    )
    content = buffer.getvalue()
    names = {
        "styles": pictures.styles,
        "concepts": [asdict(concept) for concept in pictures.concepts],
    }
    index = {
        "fingerprint": fingerprint(recipe),
        "sha256": digest(content),
        "names": names,
        "names_sha256": _names_digest(names),
    }
    write_whole(folder / PIXELS, content)
    write_whole(folder / INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())


def has_pictures(folder: Path) -> bool:
    return (folder / INDEX).is_file() and (folder / PIXELS).is_file()


def load_pictures(recipe: DataRecipe, folder: Path) -> PictureSet:
    """What `save_pictures` wrote.

    Raises:
        TrainingError: the files are missing or damaged, or come from another recipe.
    """
    if not has_pictures(folder):
        raise TrainingError(f"{folder} holds no pictures yet: run `python -m training data` first.")
    index, content = _read_index(folder), (folder / PIXELS).read_bytes()
    if index["fingerprint"] != fingerprint(recipe):
        raise TrainingError(
            f"{folder} holds the pictures of another recipe: delete that folder, or choose another "
            "with --work."
        )
    if digest(content) != index["sha256"]:
        raise _damaged(folder / PIXELS)
    arrays, names = np.load(io.BytesIO(content)), index["names"]
    return PictureSet(
        pixels=arrays["pixels"],
        concept_of=arrays["concept_of"],
        style_of=arrays["style_of"],
        concepts=tuple(_concepts(names)),
        styles=tuple(names["styles"]),
    )


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        missing = {"fingerprint", "sha256"} - index.keys()
        is_whole = not missing and _names_digest(index["names"]) == index["names_sha256"]
    except (ValueError, AttributeError, KeyError) as error:
        raise _damaged(folder / INDEX) from error
    if not is_whole:
        raise _damaged(folder / INDEX)
    return index


def _names_digest(names: dict[str, Any]) -> str:
    return digest(json.dumps(names).encode())


def _concepts(names: dict[str, Any]) -> Iterator[Concept]:
    for entry in names["concepts"]:
        yield Concept(**entry | {"tags": tuple(entry["tags"])})


def _damaged(path: Path) -> TrainingError:
    return TrainingError(
        f"{path} is damaged: delete the folder {path.parent}, and the next run of the data stage "
        "makes it again."
    )
