"""A loaded checkpoint: text encoder, U-Net and VAE of a Stable Diffusion folder of diffusers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from contract.errors import BadCheckpoint

Shape = tuple[int, int]
"""Height and width of a picture in latent space."""

PARTS = {
    "tokenizer": "tokenizer_config.json",
    "text_encoder": "config.json",
    "unet": "config.json",
    "vae": "config.json",
    "scheduler": "scheduler_config.json",
}
"""The folders of a checkpoint, each with the file that it cannot do without."""


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of a checkpoint on one device, in one dtype, ready to be called."""

    name: str
    device: torch.device
    dtype: torch.dtype
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler_config: dict[str, Any]

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.in_channels)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels of the picture per cell of latent space, along one side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def native_shape(self) -> Shape:
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(height), int(width)

    @property
    def native_size(self) -> tuple[int, int]:
        """Width and height of the pictures that the checkpoint was trained for, in pixels."""
        height, width = self.native_shape
        return width * self.vae_scale_factor, height * self.vae_scale_factor

    @property
    def token_limit(self) -> int:
        return int(self.tokenizer.model_max_length)

    def shape(self, width: int, height: int) -> Shape:
        return height // self.vae_scale_factor, width // self.vae_scale_factor

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        """One U-Net call.

        Args:
            latents: [rows, channels, h, w] float32, scaled as the sampler asks.
            timesteps: [rows] float32.
            conditioning: [rows, tokens, width] in the model's dtype.

        Returns:
            The model's output, [rows, channels, h, w] float32.
        """
        output: Tensor = self.unet(
            latents.to(self.dtype),
            timesteps,
            encoder_hidden_states=conditioning,
            return_dict=False,
        )[0]
        return output.float()


def load_model(path: Path, device: torch.device, dtype: torch.dtype) -> Model:
    """Loads a Stable Diffusion checkpoint in diffusers' folder format; never asks the network.

    Raises:
        BadCheckpoint: a folder or file is missing or broken; the text says which.
    """
    _check_folder(path)
    unet = _load(UNet2DConditionModel, path, "unet", dtype)
    _check_unet(path, unet)
    return Model(
        name=path.resolve().name,
        device=device,
        dtype=dtype,
        tokenizer=_load(CLIPTokenizer, path, "tokenizer", None),
        text_encoder=_load(CLIPTextModel, path, "text_encoder", dtype).to(device).eval(),
        unet=unet.to(device).eval(),
        vae=_load(AutoencoderKL, path, "vae", dtype).to(device).eval(),
        scheduler_config=_read_json(path / "scheduler" / "scheduler_config.json"),
    )


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        raise BadCheckpoint(
            f"The checkpoint folder {path} does not exist. "
            "DARKROOM_CHECKPOINT must name a Stable Diffusion folder in diffusers' format."
        )
    if not (path / "model_index.json").is_file():
        raise BadCheckpoint(
            f"The checkpoint folder {path} holds no model_index.json, so it is not a model in "
            "diffusers' folder format."
        )
    kind = _read_json(path / "model_index.json").get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise BadCheckpoint(
            f"The checkpoint {path} is a {kind}; only StableDiffusionPipeline is supported."
        )
    for part, needed in PARTS.items():
        if not (path / part).is_dir():
            raise BadCheckpoint(f"The checkpoint {path} has no folder {part}/.")
        if not (path / part / needed).is_file():
            raise BadCheckpoint(f"The checkpoint {path} has no file {part}/{needed}.")
    for part in ("text_encoder", "unet", "vae"):
        if not any((path / part).glob("*.safetensors")):
            raise BadCheckpoint(f"The checkpoint {path} has no weights (*.safetensors) in {part}/.")


def _check_unet(path: Path, unet: UNet2DConditionModel) -> None:
    if unet.config.time_cond_proj_dim is not None:
        raise BadCheckpoint(f"The U-Net of {path} wants a guidance embedding: not supported yet.")
    if unet.config.addition_embed_type is not None:
        raise BadCheckpoint(f"The U-Net of {path} is of the SDXL family: not supported yet.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"The checkpoint's {path} cannot be read: {error}") from error
    return content


def _load(part_class: Any, path: Path, part: str, dtype: torch.dtype | None) -> Any:
    options: dict[str, Any] = {"local_files_only": True}
    if dtype is not None:
        options["dtype"] = dtype
        options["use_safetensors"] = True
    try:
        return part_class.from_pretrained(str(path / part), **options)
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadCheckpoint(f"The checkpoint's {path / part} cannot be loaded: {reason}") from error
