"""What was measured of the finished model, and the file that keeps it beside the weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from training.errors import TrainingError
from training.files import write_whole
from training.score import Score

FILE = "evaluation.json"
SCORES = (
    "first_labels",
    "many_labels",
    "true_first_labels",
    "true_many_labels",
    "rebuilt_first_labels",
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    vae_psnr_db: float  # mean over held-out concepts, all styles
    vae_psnr_worst_tenth_db: float
    clip_top1: float  # among 500 pictures of the style held out
    first_labels: Score
    many_labels: Score
    true_first_labels: Score  # the same of the pictures that the model learned from
    true_many_labels: Score
    rebuilt_first_labels: Score  # of those once they went through the autoencoder
    nearest_rms: float  # median over drawn pictures of the distance to the nearest known one
    known_rms: float  # the same among known pictures of one style
    seconds: float  # one picture of 20 steps, on the CPU
    threads: int  # with which it was drawn
    starter_mb: float  # of weights
    judge_mb: float


def save(found: Evaluation, starter: Path) -> None:
    """Raises TrainingError where the disk is full."""
    text = json.dumps(asdict(found), indent=2) + "\n"
    write_whole(starter / FILE, text.encode())


def load(starter: Path) -> Evaluation:
    """What `save` wrote.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        values = json.loads((starter / FILE).read_text(encoding="utf-8"))
        scores = {name: Score(**values[name]) for name in SCORES}
        return Evaluation(**values | scores)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(
            f"{starter / FILE} is missing or damaged: run `python -m training.evaluate`."
        ) from error
