"""MODEL_CARD.md: the template beside this file, filled in with what was measured.

`python -m training.card` writes it anew from the evaluation that is there.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, nan
from pathlib import Path
from string import Template
from typing import Any

from training import evaluation, parts
from training.errors import TrainingError
from training.evaluation import Evaluation
from training.files import digest, write_whole
from training.parts import Finished
from training.recipes import FULL
from training.sources import SETS

CARD = "MODEL_CARD.md"
TEMPLATE = Path(__file__).with_name("model_card.md")
SHARES = ("top1", "first", "among_five")
STAGES = {
    "tokenizer": "parts/tokenizer",
    "vae": "parts/vae",
    "vae_with_kl": "parts/vae_with_kl",
    "vae_without_kl": "parts/vae_without_kl",
    "clip": "parts/clip",
    "judge": "judge",
    "unet": "parts/unet",
    "refined": "parts/refined",
    "decoder": "parts/decoder",
}
KL_PAIR = ("vae_with_kl", "vae_without_kl")
ALONE = Path(__file__).parents[1] / "docs" / "benchmarks" / "training-cpu.json"
"""What `benchmarks/training_time.py` measured while the machine did nothing else."""
UNMEASURED, UNKNOWN = nan, "\u2013"


@dataclass(frozen=True, slots=True)
class Alone:
    """A stage on a machine that does nothing else."""

    steps_per_s: float
    peak_gb: float


def write_card(found: Evaluation, models: Path) -> None:
    """Writes MODEL_CARD.md into the starter's folder.

    Raises:
        TrainingError: a stage's note is missing or damaged, or the disk is full.
    """
    write_whole(models / "starter" / CARD, card(found, models).encode())


def card(found: Evaluation, models: Path) -> str:
    """The whole text."""
    values = {name: _shown(name, value) for name, value in _flat(asdict(found)).items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        values | _kl_values(models),
        stages=stage_table(models),
        weights=weights_table(models),
        sources="\n".join(source_table()),
    )


def _kl_values(models: Path) -> dict[str, str]:
    """What the two small autoencoders came to, by their own notes."""
    values = {"kl_weight": f"{FULL.small_vae.kl_weight:g}"}
    for name in KL_PAIR:
        note = parts.read_note(models / STAGES[name])
        values["kl_steps"] = str(note.steps)
        values[f"{name}_psnr_db"] = f"{note.measured['psnr_db']:.1f}"
        values[f"{name}_latent_std"] = f"{note.measured['latent_std']:.2f}"
    return values


def stage_table(models: Path) -> str:
    """A row for each stage: its fingerprint, how long it took and would take, its memory."""
    lines = [
        "| stage | fingerprint | steps | hours here | hours alone | peak memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    timed = _alone(ALONE)
    here, alone = 0.0, 0.0
    for name, folder in STAGES.items():
        note = parts.read_note(models / folder)
        known = timed.get(note.fingerprint)
        hours = note.steps / known.steps_per_s / 3600 if known else UNMEASURED
        here += note.seconds / 3600
        alone += hours if note.seconds else 0.0  # the tokenizer takes no time and is not timed
        cells = (name, f"`{note.fingerprint}`", note.steps, f"{note.seconds / 3600:.1f}")
        lines.append(_row(*cells, _hours(hours), _peak(note, known)))
    lines.append(_row("all", "", "", f"{here:.1f}", _hours(alone), ""))
    return "\n".join(lines)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _hours(value: float) -> str:
    return f"{value:.1f}" if isfinite(value) else UNKNOWN


def _peak(note: Finished, known: Alone | None) -> str:
    """The stage's own, or else the benchmark's."""
    peak_gb = note.peak_memory_bytes / 1e9 or (known.peak_gb if known else 0.0)
    return f"{peak_gb:.1f}" if peak_gb else UNKNOWN


def _alone(file: Path) -> dict[str, Alone]:
    """By the stage's fingerprint; none where nothing was measured.

    Raises:
        TrainingError: the file is damaged.
    """
    if not file.is_file():
        return {}
    try:
        stages = json.loads(file.read_text(encoding="utf-8"))["stages"].values()
        return {each["fingerprint"]: Alone(each["steps_per_s"], each["peak_gb"]) for each in stages}
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(
            f"{file} is damaged: bring it back from git, or run benchmarks/training_time.py again."
        ) from error


def weights_table(models: Path) -> str:
    """A row for each file of weights that is shipped: its size and its SHA-256."""
    lines = ["| file | MB | SHA-256 |", "|---|---|---|"]
    for folder in ("starter", "judge"):
        for file in parts.weights_of(models / folder):
            content = file.read_bytes()
            name = file.relative_to(models).as_posix()
            lines.append(f"| {name} | {len(content) / 1e6:.1f} | `{digest(content)}` |")
    return "\n".join(lines)


def source_table() -> list[str]:
    """A row for each package that the model learned from."""
    rows = [
        f"| {each.style} | {each.package.name} {each.package.version} | {each.author} | "
        f"{each.licence} |"
        for each in SETS
    ]
    return ["| style | npm package | by | licence |", "|---|---|---|---|", *rows]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with names such as `first_labels_first`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}_")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _shown(name: str, value: float) -> str:
    if name.endswith(SHARES):
        return f"{value:.1%}"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where something is missing."""
    parser = argparse.ArgumentParser("python -m training.card", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    models = parser.parse_args(arguments).models
    try:
        write_card(evaluation.load(models / "starter"), models)
    except TrainingError as error:
        sys.stderr.write(f"card: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
