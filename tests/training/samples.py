"""32 pictures of 8 things in 4 styles, drawn here."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.data import PictureSet
from training.emoji import Concept
from training.recipes import TINY

SIZE = TINY.data.size
STYLES = ("flat", "glossy", "noto", "twemoji")
COLOURS = {"apple": "red", "sea": "blue", "leaf": "green", "sun": "yellow"}


def draw(shape: str, colour: str, style: int) -> Image.Image:
    picture = Image.new("RGB", (SIZE, SIZE), "white")
    pen = ImageDraw.Draw(picture)
    box = (4 + style, 4, SIZE - 4, SIZE - 4 - style)
    (pen.ellipse if shape == "round" else pen.rectangle)(box, fill=colour, outline="black")
    return picture


def synthetic_pictures() -> PictureSet:
    kinds = [(shape, thing) for shape in ("round", "square") for thing in COLOURS]
    concepts = tuple(
        Concept(f"{number:x}", f"{shape} {thing}", (shape, f"tag{number}"), "objects", "tool")
        for number, (shape, thing) in enumerate(kinds)
    )
    drawn = [
        np.asarray(draw(shape, COLOURS[thing], style))
        for style in range(len(STYLES))
        for shape, thing in kinds
    ]
    numbers = np.arange(len(drawn))
    return PictureSet(
        np.stack(drawn), numbers % len(kinds), numbers // len(kinds), concepts, STYLES
    )


def fill(disk: Path) -> None:
    """Until nothing more can be written there."""
    with suppress(OSError), (disk / "full").open("wb", 0) as file:
        while file.write(bytes(1024)):
            pass


def options(folder: Path) -> list[str]:
    """Of the training's command, for a run in `folder`."""
    work, models = str(folder / "work"), str(folder / "models")
    return ["--recipe", "tiny", "--work", work, "--models", models]
