"""`python -m training.lecture`: draws the figures of docs/how-it-works.md."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from training.errors import TrainingError
from training.lecture.studio import Studio

FIGURES = (
    "noising",
    "schedules",
    "steps",
    "samplers",
    "guidance",
    "seeds",
    "arithmetic",
    "subspace",
    "similarity",
    "divergence",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where a model is missing or a figure cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m training.lecture", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--out", type=Path, default=Path("docs/how-it-works"))
    options = parser.parse_args(arguments)
    unknown = set(options.figures) - set(FIGURES)
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}")
    try:
        draw_figures(options.figures or FIGURES, Studio(options.models), options.out)
    except (TrainingError, OSError) as error:
        sys.stderr.write(f"lecture: {error}\n")
        return 1
    return 0


def draw_figures(names: Sequence[str], studio: Studio, out: Path) -> None:
    """Draws each figure into `out`, as a PNG of its name."""
    out.mkdir(parents=True, exist_ok=True)
    for name in tqdm(names, unit="figure"):
        figure = import_module(f"training.lecture.{name}").draw(studio)
        figure.savefig(out / f"{name}.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    sys.exit(main())
