"""Stable Diffusion 1.5, 2.1 and SDXL from their published configurations, with random weights.

Speed and memory do not depend on what the weights are, so no download is needed. A checkpoint of
the first family can be written to a folder, to put a whole service on it:

    python benchmarks/families.py FOLDER
"""

import argparse
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from given import STARTER
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from worker.engine.call_options import CallOptions
from worker.engine.model import Model, call_unet, call_vae, prepare

TOKENS = 77
POOLED = 1280  # width of SDXL's pooled text embedding
TIME_IDS = 6  # SDXL's original size, crop and target size


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    name: str
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    side: int  # of a native picture, in pixels
    has_sizes: bool = False  # whether the U-Net is told of sizes and crops as well

    @property
    def cells(self) -> int:
        """Side of a native picture in latent space."""
        return self.side // 2 ** (len(self.vae["block_out_channels"]) - 1)


def _vae(scaling_factor: float, **changes: Any) -> dict[str, Any]:
    return {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": scaling_factor,
    } | changes


SD15 = Family("SD 1.5", {"sample_size": 64, "cross_attention_dim": 768}, _vae(0.18215), 512)
SD21 = Family(
    "SD 2.1",
    {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    _vae(0.18215),
    768,
)
SDXL = Family(
    "SDXL",
    {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": POOLED + TIME_IDS * 256,
    },
    _vae(0.13025),
    1024,
    has_sizes=True,
)
SMALL = Family(
    "small",
    {"sample_size": 8, "block_out_channels": (32, 32, 64, 64), "cross_attention_dim": 32},
    _vae(0.18215, block_out_channels=(32, 32, 32, 32), layers_per_block=1),
    64,
)
"""For a look at whether all of this runs, on any machine."""

FAMILIES = (SD15, SD21, SDXL)


class SizedUnet(UNet2DConditionModel):
    """SDXL's, which takes all pictures for whole ones of the native size where nobody says."""

    def forward(
        self, sample: Tensor, *others: Any, added_cond_kwargs: Any = None, **named: Any
    ) -> Any:
        if added_cond_kwargs is None:
            side = 8.0 * self.config.sample_size
            added_cond_kwargs = {
                "text_embeds": sample.new_zeros(len(sample), POOLED),
                "time_ids": sample.new_full((len(sample), TIME_IDS), side),
            }
        return super().forward(sample, *others, added_cond_kwargs=added_cond_kwargs, **named)


def build_unet(family: Family, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    kind = SizedUnet if family.has_sizes else UNet2DConditionModel
    with device:
        return kind(**family.unet).to(dtype).eval().requires_grad_(False)


def build_vae(family: Family, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    with device:
        return AutoencoderKL(**family.vae).to(dtype).eval().requires_grad_(False)


def arguments(
    family: Family, rows: int, device: torch.device, dtype: torch.dtype, *, sizes: bool = True
) -> tuple[Tensor, ...]:
    """Latents, timesteps and conditioning of a U-Net call.

    Args:
        sizes: whether SDXL's two more follow.
    """
    options: dict[str, Any] = {"device": device, "dtype": dtype}
    given = [
        torch.randn(rows, 4, family.cells, family.cells, **options),
        torch.full((rows,), 500.0, device=device),
        torch.randn(rows, TOKENS, family.unet["cross_attention_dim"], **options),
    ]
    if sizes and family.has_sizes:
        given.append(torch.randn(rows, POOLED, **options))
        given.append(torch.full((rows, TIME_IDS), float(family.side), **options))
    return tuple(given)


def caller(unet: UNet2DConditionModel) -> Callable[..., Tensor]:
    """The U-Net as a function of what `arguments` gives."""

    def call(latents: Tensor, timesteps: Tensor, conditioning: Tensor, *sizes: Tensor) -> Tensor:
        added = dict(zip(("text_embeds", "time_ids"), sizes, strict=True)) if sizes else None
        output: Tensor = unet(
            latents,
            timesteps,
            encoder_hidden_states=conditioning,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return output

    return call


@cache
@torch.inference_mode()
def gigaflop(family: Family) -> tuple[float, float]:
    """Of one U-Net row and of one decoded picture, counted without computing anything; two for a
    multiplication with its addition."""
    meta, half = torch.device("meta"), torch.float16
    unet, vae = build_unet(family, meta, half), build_vae(family, meta, half)
    given = arguments(family, 1, meta, half)
    counted = []
    for call in (lambda: caller(unet)(*given), lambda: vae.decode(given[0])):
        with FlopCounterMode(display=False) as counter:
            call()
        counted.append(counter.get_total_flops() / 1e9)
    return counted[0], counted[1]


def build_model(family: Family, device: torch.device, dtype: torch.dtype) -> Model:
    """A whole checkpoint, with the starter's vocabulary and one text encoder; that of SDXL stands
    for its two."""
    tokenizer = CLIPTokenizer.from_pretrained(
        str(STARTER / "tokenizer"), local_files_only=True, model_max_length=TOKENS
    )
    width = family.unet["cross_attention_dim"]
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=12,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with device:
        text_encoder = CLIPTextModel(text_config).to(dtype).eval()
    unet, vae = build_unet(family, device, dtype), build_vae(family, device, dtype)
    model = Model(
        name=family.name,
        device=device,
        dtype=dtype,
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        vae=vae,
        scheduler_config=json.loads((STARTER / "scheduler/scheduler_config.json").read_text())
        | {"prediction_type": "epsilon"},
        fingerprint="random",
        unet_call=call_unet(unet),
        vae_call=call_vae(vae),
    )
    return prepare(model, CallOptions())


def write_checkpoint(family: Family, folder: Path, device: torch.device) -> None:
    model = build_model(family, device, torch.float16)
    for part in ("tokenizer", "text_encoder", "unet", "vae"):
        getattr(model, part).save_pretrained(folder / part)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(model.scheduler_config))
    shutil.copy(STARTER / "model_index.json", folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a checkpoint of SD 1.5 with random weights")
    parser.add_argument("--small", action="store_true", help="one for any machine instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    write_checkpoint(SMALL if options.small else SD15, options.folder, device)


if __name__ == "__main__":
    main()
