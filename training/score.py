"""What the judge says of a picture: a CLIP that no part of the pipeline was trained with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.clip import Clip, embed_pictures, embed_texts


@dataclass(frozen=True, slots=True)
class Score:
    """How often the judge finds the right label among all of them."""

    labels: int
    first: float  # share of the pictures whose own label it ranks first
    among_five: float  # share of those whose own label is among its first five


def ranks(judge: Clip, labels: Sequence[str], pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[pictures]: the place of each picture's own label among all labels, 0 for the first.

    A label that fits equally well stands before it, and so does one whose likeness is no number.

    Args:
        judge: the judge.
        labels: what each picture should show, and then those that none should.
        pictures: [pictures, height, width, 3].
    """
    scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    likeness = embed_pictures(judge, scaled) @ embed_texts(judge, labels).T  # [pictures, labels]
    own = likeness.diagonal()[:, None]
    places: NDArray[np.int64] = (~(likeness < own)).sum(dim=1).sub(1).cpu().numpy()
    return places


def score(judge: Clip, labels: Sequence[str], pictures: NDArray[np.uint8]) -> Score:
    if not labels:
        return Score(0, 0.0, 0.0)
    places = ranks(judge, labels, pictures)
    return Score(len(labels), float((places == 0).mean()), float((places < 5).mean()))
