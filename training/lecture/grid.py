"""Pictures side by side, with a word at each row and column."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
"""[pictures, height, width, 3] RGB from 0 to 1."""


CELL_INCHES = 1.1
LABEL_INCHES = 1.2


def grid(rows: Sequence[Pictures], *, beside: Sequence[str], above: Sequence[str] = ()) -> Figure:
    """Rows of pictures; `beside` names the rows, `above` the columns."""
    columns = max(len(row) for row in rows)
    width = LABEL_INCHES + columns * CELL_INCHES
    figure = Figure(figsize=(width, len(rows) * CELL_INCHES + 0.3), layout="constrained")
    places = figure.subplots(len(rows), columns, squeeze=False)
    for cells, pictures in zip(places, rows, strict=True):
        for cell, picture in zip(cells, pictures, strict=False):
            cell.imshow(picture, interpolation="nearest")
    for cell in places.flat:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    for cells, text in zip(places, beside, strict=True):
        cells[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
    for cell, text in zip(places[0], above, strict=False):
        cell.set_title(text, fontsize=9)
    return figure
