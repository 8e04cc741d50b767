"""What a benchmark is given on its command line, judged before it measures anything."""

import argparse
from pathlib import Path

from contract.errors import BadCheckpoint
from worker.engine.model_folder import check_folder

STARTER = Path("models/starter")


def checkpoint(text: str) -> Path:
    """A folder that holds one, as argparse takes it."""
    try:
        check_folder(Path(text))
    except BadCheckpoint as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text)


def new_file(text: str) -> Path:
    """A file that can be written, as argparse takes it."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: there is no such folder")
    return path


def whole(text: str) -> int:
    """A whole number from 1 on, as argparse takes it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)
