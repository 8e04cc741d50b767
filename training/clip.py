"""Words and pictures meet in one space: contrastive pre-training (Radford et al. 2021).

A text encoder and a picture encoder learn to put a picture and its text at the same place, and
other pictures and texts elsewhere. No one says what a cat looks like; in a batch of 128 pictures
and 128 texts it is enough to find which belongs to which. The U-Net then listens to the text
encoder.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.parts import reading, save_half
from training.picture_encoder import PictureEncoder, load_picture_encoder, save_picture_encoder
from training.recipe import ClipRecipe, TextEncoderRecipe
from training.tokenizer import load_tokenizer, token_ids

EVALUATION_BATCH = 256
FIRST_TEMPERATURE = 0.07  # Radford et al. 2021, section 2.5
HIGHEST_SCALE = 100.0  # likewise


def build_text_encoder(recipe: TextEncoderRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=4 * recipe.width,
        projection_dim=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=int(tokenizer.model_max_length),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


class Clip(nn.Module):
    """Both encoders, the texts' projection, and the scale of their likeness."""

    def __init__(
        self, tokenizer: CLIPTokenizer, text: CLIPTextModel, picture: PictureEncoder
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.text = text
        self.text_projection = nn.Linear(text.config.hidden_size, picture.recipe.width, bias=False)
        self.picture = picture
        self.log_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))

    @property
    def scale(self) -> Tensor:
        """One over the temperature."""
        return self.log_scale.exp().clamp(max=HIGHEST_SCALE)

    def text_points(self, ids: Tensor) -> Tensor:
        """[texts, tokens] becomes [texts, width] of length 1: read off at the first end token."""
        pooled = self.text(input_ids=ids).pooler_output
        return F.normalize(self.text_projection(pooled).float(), dim=-1)

    def picture_points(self, pictures: Tensor) -> Tensor:
        """[rows, 3, size, size] from -1 to 1 becomes [rows, width] of length 1."""
        return F.normalize(self.picture(pictures).float(), dim=-1)


def build_clip(recipe: ClipRecipe, tokenizer: CLIPTokenizer) -> Clip:
    text = build_text_encoder(recipe.text_encoder, tokenizer)
    return Clip(tokenizer, text, PictureEncoder(recipe.picture_encoder))


def contrastive_loss(texts: Tensor, pictures: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy both ways: for each text the right picture, for each picture the right text.

    Radford et al. 2021, figure 3. Both [rows, width] of length 1; row i belongs to row i.
    """
    likeness = scale * texts @ pictures.T  # [texts, pictures]
    right = torch.arange(len(texts), device=texts.device)
    return (F.cross_entropy(likeness, right) + F.cross_entropy(likeness.T, right)) / 2


@torch.no_grad()
def embed_texts(clip: Clip, texts: Sequence[str]) -> Tensor:
    """[texts, width] float32 of length 1."""
    ids = token_ids(clip.tokenizer, list(texts), full_length=False).to(clip.log_scale.device)
    return torch.cat([clip.text_points(some) for some in torch.split(ids, EVALUATION_BATCH)])


@torch.no_grad()
def embed_pictures(clip: Clip, pictures: Tensor) -> Tensor:
    """[rows, 3, height, width] from -1 to 1 becomes [rows, width] float32 of length 1."""
    on_device = pictures.to(clip.log_scale.device)
    return torch.cat(
        [clip.picture_points(some) for some in torch.split(on_device, EVALUATION_BATCH)]
    )


def retrieval(texts: Tensor, pictures: Tensor) -> float:
    """The share of pictures that are, of all, the most like their own text. Row belongs to row."""
    best = (texts @ pictures.T).argmax(dim=1).cpu()
    return float((best == torch.arange(len(texts))).float().mean())


def save_clip(clip: Clip, folder: Path) -> None:
    """tokenizer/ and text_encoder/ as a pipeline has them, and picture_encoder/; all in float16."""
    clip.tokenizer.save_pretrained(str(folder / "tokenizer"))
    others = {"text_projection.weight": clip.text_projection.weight, "log_scale": clip.log_scale}
    save_picture_encoder(clip.picture, others, folder / "picture_encoder")
    save_half(clip.text, folder / "text_encoder")


def load_clip(folder: Path, device: torch.device) -> Clip:
    """What `save_clip` wrote, in float32, ready to be called.

    Raises:
        TrainingError: the folder is missing or damaged.
    """
    with reading(folder):
        encoder, others = load_picture_encoder(folder / "picture_encoder")
        text: CLIPTextModel = CLIPTextModel.from_pretrained(
            str(folder / "text_encoder"), local_files_only=True, dtype=torch.float32
        )
        clip = Clip(load_tokenizer(folder / "tokenizer"), text, encoder)
        clip.load_state_dict(others, strict=False)
    return clip.to(device).eval().requires_grad_(False)
