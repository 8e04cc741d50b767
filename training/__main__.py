"""`python -m training STAGE`: one stage of the training, or all of them."""

import argparse
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import diffusers
import transformers

from training.device import choose_device
from training.errors import Interrupted, TrainingError
from training.recipes import RECIPES
from training.stages import STAGES, run_stage
from training.workshop import Workshop

SIGNAL_EXIT = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a stage; returns the exit code."""
    options = _parser().parse_args(arguments)
    _quiet_libraries()
    try:
        run_stage(options.stage, _workshop(options))
    except Interrupted as error:
        sys.stderr.write(f"\ntraining: {error}\n")
        return SIGNAL_EXIT + error.signal_number
    except TrainingError as error:
        sys.stderr.write(f"\ntraining: {error}\n")
        return 1
    except KeyboardInterrupt:  # outside of a stage's steps, where nothing is half done
        sys.stderr.write("\ntraining: interrupted; the same command begins this stage again.\n")
        return SIGNAL_EXIT + signal.SIGINT
    return 0


def _quiet_libraries() -> None:
    """Their own bars would stand between ours."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training", description=__doc__)
    parser.add_argument("stage", choices=["all", *STAGES])
    parser.add_argument("--minutes", type=_positive, default=math.inf, help="end this piece then")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="never committed")
    parser.add_argument("--models", type=Path, default=Path("models"), help="of finished weights")
    parser.add_argument("--recipe", choices=list(RECIPES), default="full")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _workshop(options: argparse.Namespace) -> Workshop:
    return Workshop(
        recipe=RECIPES[options.recipe],
        seed=options.seed,
        work=options.work,
        models=options.models,
        device=choose_device(),
        deadline=time.monotonic() + 60 * options.minutes,
    )


if __name__ == "__main__":
    sys.exit(main())
