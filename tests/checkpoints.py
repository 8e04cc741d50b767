"""A tiny Stable Diffusion checkpoint of random weights, in diffusers' folder format.

It has every part and every kind of block that a real one has, so that the real code runs on it;
its pictures are noise. `python -m tests.checkpoints FOLDER` writes one to look at.
"""

import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

TOKENS = 77
WIDTH = 32  # of a token's embedding
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
UNET_GAIN = 1.6
"""Spread of the weights: at 1 the prompt hardly matters, far above it rounding grows at each step
as it never does in a trained model."""


def scheduler_config(
    prediction_type: str = "epsilon",
    beta_schedule: str = "scaled_linear",
    timestep_spacing: str = "leading",
) -> dict[str, Any]:
    """The noise schedule of Stable Diffusion, as its checkpoints write it down."""
    return {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": diffusers.__version__,
        "beta_end": 0.012,
        "beta_schedule": beta_schedule,
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "prediction_type": prediction_type,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": timestep_spacing,
        "trained_betas": None,
    }


def build_checkpoint(
    folder: Path,
    *,
    prediction_type: str = "epsilon",
    beta_schedule: str = "scaled_linear",
    timestep_spacing: str = "leading",
    seed: int = 0,
) -> Path:
    """Writes the checkpoint into `folder`, which need not exist, and returns it.

    Its pictures are 64 x 64 pixels, 8 to a cell of latent space; the same seed gives the same
    weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _write_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _text_encoder(tokenizer).save_pretrained(folder / "text_encoder")
        _unet().save_pretrained(folder / "unet")
        _vae().save_pretrained(folder / "vae")
    config = scheduler_config(prediction_type, beta_schedule, timestep_spacing)
    _write_json(folder / "scheduler" / "scheduler_config.json", config)
    _write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": diffusers.__version__,
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return folder


def _write_tokenizer(folder: Path) -> Tokenizer:
    """CLIP's byte-level tokenizer without a single merge: a token for every byte, and one for every
    byte that ends a word."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(
        models.BPE(ids, [], unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>")
    )
    tokenizer.add_special_tokens([START, END])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, ids[END]), (START, ids[START]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "backend": "tokenizers",
            "bos_token": START,
            "eos_token": END,
            "model_max_length": TOKENS,
            "pad_token": END,
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": END,
        },
    )
    return tokenizer


def _text_encoder(tokenizer: Tokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.token_to_id(START),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(END),
    )
    return CLIPTextModel(config).eval()


def _unet() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    _spread(unet, UNET_GAIN)
    return unet.eval()


def _vae() -> AutoencoderKL:
    vae = AutoencoderKL(
        sample_size=64,
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    )
    return vae.eval()


@torch.no_grad()
def _spread(module: nn.Module, gain: float) -> None:
    for weight in module.parameters():
        if weight.dim() > 1:
            weight.mul_(gain)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    build_checkpoint(Path(sys.argv[1]))
