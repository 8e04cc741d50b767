"""A Stable Diffusion folder of diffusers, as files: what can be told of it without loading it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import BadCheckpoint

PARTS = {
    "tokenizer": "tokenizer_config.json",
    "text_encoder": "config.json",
    "unet": "config.json",
    "vae": "config.json",
    "scheduler": "scheduler_config.json",
}
"""The folders of a checkpoint, each with the file that it cannot do without."""

WEIGHTY = ("text_encoder", "unet", "vae")

UNET = {"cross_attention_dim": 1280, "in_channels": 4, "out_channels": 4, "sample_size": None}
VAE = {"latent_channels": 4, "block_out_channels": (64,)}
TEXT_ENCODER = {"hidden_size": 512}
"""What the libraries take for what a configuration leaves out."""

HEADER_BYTES = 8
"""A safetensors file begins with the length of its header, little endian; then come the header, in
JSON, and the tensors, whose places the header tells."""


@dataclass(frozen=True, slots=True)
class Weights:
    parameters: int
    bytes: int
    dtypes: frozenset[str]  # as safetensors has them: F32, F16, BF16


def check_folder(path: Path) -> None:
    """
    Raises:
        BadCheckpoint: a folder or file is missing, broken or not for this user to read, or the
            parts do not fit together.
    """
    try:
        _check_folder(path)
    except PermissionError as error:
        raise BadCheckpoint(
            f"The checkpoint's {error.filename} may not be read by this user: make the folder that "
            "DARKROOM_CHECKPOINT names readable, as by `chmod -R a+rX`."
        ) from error


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        raise BadCheckpoint(
            f"The checkpoint folder {path} does not exist. "
            "DARKROOM_CHECKPOINT must name a Stable Diffusion folder in diffusers' format."
        )
    if not (path / "model_index.json").is_file():
        raise BadCheckpoint(
            f"The checkpoint folder {path} holds no model_index.json, so it is not a model in "
            "diffusers' folder format, which DARKROOM_CHECKPOINT must name."
        )
    kind = read_json(path / "model_index.json").get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise BadCheckpoint(
            f"The checkpoint {path} is a {kind}; only StableDiffusionPipeline is supported."
        )
    for part, needed in PARTS.items():
        if not (path / part).is_dir():
            raise BadCheckpoint(f"The checkpoint {path} has no folder {part}/.")
        if not (path / part / needed).is_file():
            raise BadCheckpoint(f"The checkpoint {path} has no file {part}/{needed}.")
        read_json(path / part / needed)
    files = {file.name for file in (path / "tokenizer").iterdir()}
    if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= files:
        raise BadCheckpoint(
            f"The checkpoint {path} has no vocabulary in tokenizer/: neither tokenizer.json nor "
            "vocab.json and merges.txt."
        )
    for part in WEIGHTY:
        read_weights(path, part)
    _check_parts(path)


def read_config(path: Path, part: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The part's configuration, with what it leaves out."""
    return dict(defaults) | read_json(path / part / PARTS[part])


def read_weights(path: Path, part: str) -> Weights:
    """What the part's files say of themselves; their tensors are not read.

    Raises:
        BadCheckpoint: there are none, or one is cut short or none at all.
    """
    files = sorted((path / part).glob("*.safetensors"))
    if not files:
        raise BadCheckpoint(f"The checkpoint {path} has no weights (*.safetensors) in {part}/.")
    tensors = [tensor for file in files for tensor in _tensors(path / part, file)]
    return Weights(
        parameters=sum(math.prod(tensor["shape"]) for tensor in tensors),
        bytes=sum(file.stat().st_size for file in files),
        dtypes=frozenset(tensor["dtype"] for tensor in tensors),
    )


def _tensors(folder: Path, file: Path) -> list[dict[str, Any]]:
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(HEADER_BYTES), "little")
            header = json.loads(content.read(min(length, file.stat().st_size)))
        tensors = [header[name] for name in header if name != "__metadata__"]
        end = HEADER_BYTES + length + max(tensor["data_offsets"][1] for tensor in tensors)
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadCheckpoint(
            f"The checkpoint's {folder} cannot be loaded: {file.name} is broken; fetch it again."
        ) from error
    if file.stat().st_size < end:
        raise BadCheckpoint(
            f"The checkpoint's {folder} cannot be loaded: {file.name} is cut short, at "
            f"{file.stat().st_size} of {end} bytes; fetch it again."
        )
    return tensors


def _check_parts(path: Path) -> None:
    unet = read_config(path, "unet", UNET)
    if unet.get("time_cond_proj_dim") is not None:
        raise BadCheckpoint(f"The U-Net of {path} wants a guidance embedding: not supported yet.")
    if unet.get("addition_embed_type") is not None:
        raise BadCheckpoint(f"The U-Net of {path} is of the SDXL family: not supported yet.")
    width = read_config(path, "text_encoder", TEXT_ENCODER)["hidden_size"]
    if unet["cross_attention_dim"] != width:
        raise BadCheckpoint(
            f"The U-Net of {path} reads prompts of width {unet['cross_attention_dim']}, but its "
            f"text encoder writes {width}."
        )
    channels = read_config(path, "vae", VAE)["latent_channels"]
    if not unet["in_channels"] == unet["out_channels"] == channels:
        raise BadCheckpoint(
            f"The U-Net of {path} turns {unet['in_channels']} channels into "
            f"{unet['out_channels']}, but the latents of its VAE have {channels}."
        )


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"The checkpoint's {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BadCheckpoint(f"The checkpoint's {path} does not hold a JSON object.")
    return content
