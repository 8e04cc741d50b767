"""How far a drawn picture is a copy: the training picture that is nearest to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels, at which pictures are compared
CHUNK = 64


@dataclass(frozen=True, slots=True)
class Nearest:
    rows: NDArray[np.int64]  # [drawn] into the training pictures
    distances: NDArray[np.float64]  # [drawn] root mean square difference, 0 to 255


def nearest(drawn: NDArray[np.uint8], known: NDArray[np.uint8]) -> Nearest:
    """Both [pictures, size, size, 3]; differences are those of 32 by 32 pixels."""
    rows, distances = [], []
    small = shrink(known)
    for picture in shrink(drawn):
        errors = ((small - picture) ** 2).mean(axis=1)
        rows.append(int(errors.argmin()))
        distances.append(float(np.sqrt(errors.min())))
    return Nearest(np.array(rows), np.array(distances))


def shrink(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[pictures, SIDE * SIDE * 3], each pixel the mean of a square."""
    count, size = pictures.shape[:2]
    step = size // SIDE
    squares = [
        chunk.reshape(len(chunk), SIDE, step, SIDE, step, 3).mean(axis=(2, 4), dtype=np.float32)
        for chunk in np.array_split(pictures, -(-count // CHUNK))
    ]
    return np.concatenate(squares).reshape(count, -1)
