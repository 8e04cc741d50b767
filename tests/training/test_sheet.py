"""Contact sheets show all of what they say."""

import numpy as np
import pytest

from training.sheet import LINE_PIXELS, contact_sheet, wrapped

LONG = "smiling face with open mouth and smiling eyes"


def white(count: int, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((count, size, size, 3), 255, np.uint8)


@pytest.mark.parametrize("width", [4, 30, 124])
def test_no_letter_of_a_caption_is_lost(width: int) -> None:
    lines = wrapped(LONG, width)
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")


def test_a_line_ends_between_words_where_that_does() -> None:
    lines = wrapped(LONG, 124)
    assert len(lines) == 2
    assert " ".join(lines) == LONG


def test_every_line_stands_inside_its_cell() -> None:
    lines = len(wrapped(LONG, 124))
    sheet = np.asarray(contact_sheet(white(3, 128), 2, [LONG, LONG, "cat"]))
    assert sheet.shape == (2 * (128 + lines * LINE_PIXELS), 256, 3)
    dark = sheet.min(axis=2) < 128
    assert not dark[:, 126:128].any()
    for line in range(lines):
        top = 128 + line * LINE_PIXELS
        assert dark[top : top + LINE_PIXELS, :126].any()
    assert not dark[-1].any()


def test_pictures_without_captions_touch() -> None:
    assert contact_sheet(white(3, 16), 2).size == (32, 32)
