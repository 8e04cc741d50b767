"""A small convolutional network that turns a picture into a point: CLIP's other half."""

import json
from dataclasses import asdict
from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.recipe import PictureEncoderRecipe

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Block(nn.Module):
    """A residual block, pre-activated (He et al. 2016), with group normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(x)))
        inner = self.conv2(F.silu(self.norm2(inner)))
        beside = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        total: Tensor = self.shortcut(beside) + inner
        return total


class PictureEncoder(nn.Module):
    """[rows, 3, size, size] from -1 to 1, of any size, becomes [rows, width]."""

    def __init__(self, recipe: PictureEncoderRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.stem = nn.Conv2d(3, recipe.channels[0], 3, 2, 1)
        blocks, inputs = [], recipe.channels[0]
        for level, outputs in enumerate(recipe.channels):
            for number in range(recipe.blocks):
                stride = 2 if level > 0 and number == 0 else 1
                blocks.append(Block(inputs, outputs, stride, recipe.norm_groups))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.GroupNorm(recipe.norm_groups, inputs)
        self.projection = nn.Linear(inputs, recipe.width, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        size = self.recipe.size
        if pictures.shape[-1] != size:
            pictures = F.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True)
        features = F.silu(self.norm(self.blocks(self.stem(pictures))))
        pooled: Tensor = self.projection(features.mean(dim=(2, 3)))
        return pooled


def save_picture_encoder(encoder: PictureEncoder, others: dict[str, Tensor], folder: Path) -> None:
    """Its recipe as JSON, its weights and `others` beside them in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(encoder.recipe), indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    tensors = {f"encoder.{name}": value for name, value in encoder.state_dict().items()} | others
    halves = {name: value.detach().half().contiguous().cpu() for name, value in tensors.items()}
    save_file(halves, folder / WEIGHTS)


def load_picture_encoder(folder: Path) -> tuple[PictureEncoder, dict[str, Tensor]]:
    """In float32: the encoder, and what was saved beside it."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    encoder = PictureEncoder(
        PictureEncoderRecipe(**config | {"channels": tuple(config["channels"])})
    )
    tensors = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    prefix = "encoder."
    own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
    encoder.load_state_dict({name.removeprefix(prefix): value for name, value in own.items()})
    return encoder, tensors
