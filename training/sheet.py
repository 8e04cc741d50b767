"""Contact sheets: many small pictures in one, to be looked at."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.files import write_whole

CAPTION_PIXELS = 12
CAPTION_LETTERS = 20


def contact_sheet(
    pictures: NDArray[np.uint8], columns: int, captions: list[str] | None = None
) -> Image.Image:
    """Row by row; [pictures, height, width, 3], each with its caption below it, if any."""
    count, height, width, _ = pictures.shape
    below = CAPTION_PIXELS if captions else 0
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + below)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        corner = (column * width, row * (height + below))
        sheet.paste(Image.fromarray(picture), corner)
        if captions:
            text = captions[number][:CAPTION_LETTERS]
            pen.text((corner[0] + 2, corner[1] + height), text, fill="black")
    return sheet


def save_sheet(
    path: Path, pictures: NDArray[np.uint8], columns: int, captions: list[str] | None = None
) -> None:
    """Raises TrainingError where the disk is full."""
    buffer = io.BytesIO()
    contact_sheet(pictures, columns, captions).save(buffer, "PNG")
    write_whole(path, buffer.getvalue())
