"""Contact sheets: many small pictures in one, to be looked at."""

import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.files import write_whole

LINE_PIXELS = 12
MARGIN_PIXELS = 2


def contact_sheet(
    pictures: NDArray[np.uint8], columns: int, captions: Sequence[str] = ()
) -> Image.Image:
    """Row by row; [pictures, height, width, 3], each with its caption below it, if any."""
    count, height, width, _ = pictures.shape
    texts = [wrapped(caption, width - 2 * MARGIN_PIXELS) for caption in captions]
    below = LINE_PIXELS * max(map(len, texts), default=0)
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + below)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left, top = column * width, row * (height + below)
        sheet.paste(Image.fromarray(picture), (left, top))
        for place, line in enumerate(texts[number] if texts else ()):
            corner = (left + MARGIN_PIXELS, top + height + place * LINE_PIXELS)
            pen.text(corner, line, fill="black")
    return sheet


def wrapped(text: str, width: int) -> list[str]:
    """In lines that are no wider than so many pixels, broken between words where that does."""
    lines: list[str] = []
    for word in text.split():
        for piece in _pieces(word, width):
            longer = f"{lines[-1]} {piece}" if lines else piece
            if lines and _pixels(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return lines


def _pieces(word: str, width: int) -> Iterator[str]:
    """The word, or as much of it as fits, and so on."""
    while word:
        length = len(word)
        while length > 1 and _pixels(word[:length]) > width:
            length -= 1
        yield word[:length]
        word = word[length:]


def _pixels(text: str) -> float:
    return _font().getlength(text)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default()


def save_sheet(
    path: Path, pictures: NDArray[np.uint8], columns: int, captions: Sequence[str] = ()
) -> None:
    """Raises TrainingError where the disk is full."""
    buffer = io.BytesIO()
    contact_sheet(pictures, columns, captions).save(buffer, "PNG")
    write_whole(path, buffer.getvalue())
