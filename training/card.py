"""MODEL_CARD.md: the template beside this file, filled in with what was measured."""

from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from training import parts
from training.files import digest, write_whole
from training.sources import SETS

if TYPE_CHECKING:
    from training.evaluate import Evaluation

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


def write_card(found: "Evaluation", models: Path) -> None:
    """Writes MODEL_CARD.md into the starter's folder."""
    values = {name: _shown(name, value) for name, value in _flat(asdict(found)).items()}
    card = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        values,
        stages=stage_table(models),
        weights=weights_table(models),
        sources="\n".join(source_table()),
    )
    write_whole(models / "starter" / "MODEL_CARD.md", card.encode())


def stage_table(models: Path) -> str:
    """A row for each stage: its fingerprint, how long it took."""
    lines = ["| stage | fingerprint | steps | minutes |", "|---|---|---|---|"]
    notes = {name: parts.read_note(models / folder) for name, folder in STAGES.items()}
    for name, note in notes.items():
        minutes = f"{note.seconds / 60:.0f}"
        lines.append(f"| {name} | `{note.fingerprint}` | {note.steps} | {minutes} |")
    lines.append(f"| all | | | {sum(note.seconds for note in notes.values()) / 60:.0f} |")
    return "\n".join(lines)


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
