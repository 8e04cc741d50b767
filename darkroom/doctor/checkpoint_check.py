"""The checkpoint: whether it is whole, and what it is, without loading it."""

from collections.abc import Iterator
from pathlib import Path

from contract.errors import BadCheckpoint
from darkroom.doctor.finding import Finding, fail, ok, warn
from worker.engine.model_folder import (
    TEXT_ENCODER,
    UNET,
    VAE,
    WEIGHTY,
    check_folder,
    read_config,
    read_json,
    read_weights,
)

PICKLES = (".bin", ".ckpt", ".pt", ".pth")
FAMILIES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x"}
"""By the width of a token's embedding."""

REMEDY = (
    "Fetch it again as a whole, or let DARKROOM_CHECKPOINT name a Stable Diffusion 1.x or 2.x "
    "folder in diffusers' format."
)


def check_checkpoint(path: Path) -> Iterator[Finding]:
    pickles = [file for part in WEIGHTY for file in _pickles(path / part)]
    try:
        check_folder(path)
    except BadCheckpoint as error:
        remedy = REMEDY
        if pickles:
            remedy = (
                f"{pickles[0].name} is a pickle, which may run anything and is never read: load "
                "it where you trust it, and `save_pretrained(…, safe_serialization=True)`."
            )
        yield fail(str(error), remedy)
        return
    except OSError as error:
        yield fail(
            f"The checkpoint {path} cannot be read: {error.strerror}.",
            "Let the user that the worker runs as read DARKROOM_CHECKPOINT.",
        )
        return
    yield ok(_described(path))
    if pickles:
        yield warn(
            f"{path} also holds {len(pickles)} pickles, such as {pickles[0].name}, which are never "
            "read.",
            "Delete them: they take room, and are a risk to whoever loads them.",
        )


def _pickles(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*")) if file.suffix in PICKLES]


def _described(path: Path) -> str:
    unet = read_config(path, "unet", UNET)
    scale = 2 ** (len(read_config(path, "vae", VAE)["block_out_channels"]) - 1)
    weights = [read_weights(path, part) for part in WEIGHTY]
    prediction = read_json(path / "scheduler" / "scheduler_config.json").get("prediction_type")
    dtypes = sorted(dtype for each in weights for dtype in each.dtypes)
    width = read_config(path, "text_encoder", TEXT_ENCODER)["hidden_size"]
    return (
        f"{path} is whole: {FAMILIES.get(width, 'a Stable Diffusion of its own kind')}, "
        f"{_side(unet['sample_size'], scale)}, prediction {prediction or 'epsilon'}, "
        f"{sum(each.parameters for each in weights) / 1e6:,.0f} million weights in "
        f"{sum(each.bytes for each in weights) / 1e6:,.0f} MB "
        f"({', '.join(dict.fromkeys(dtypes))}); its model is called {path.resolve().name}."
    )


def _side(sample_size: int | list[int] | None, scale: int) -> str:
    if sample_size is None:
        return "of no size"
    height, width = sample_size if isinstance(sample_size, list) else (sample_size, sample_size)
    return f"{width * scale}x{height * scale} pixels"
