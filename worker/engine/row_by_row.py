"""The U-Net's matrix products row by row, so that none depends on where in the batch a row stands.

A CPU's threads share the product of all rows between them. At the seams, which fall into whichever
rows stand there, it rounds the last bits otherwise (seen in MKL's float32 products of the timestep
embeddings, and in torch's attention). A product of one row has its seams in the same place always.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn


class LinearByRows(nn.Linear):
    def forward(self, rows: Tensor) -> Tensor:
        """[rows, ..., in] to [rows, ..., out]."""
        answers = [super(LinearByRows, self).forward(row[None]) for row in rows]
        return torch.cat(answers)


class AttentionByRows(AttnProcessor2_0):  # type: ignore[misc]
    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *others: Any,
        **options: Any,
    ) -> Tensor:
        """[rows, cells, width], of which each attends to itself or to its own text."""
        texts = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        attended = [
            super(AttentionByRows, self).__call__(attn, row[None], text[None], *others, **options)
            for row, text in zip(hidden_states, texts, strict=True)
        ]
        return torch.cat(attended)


def part_rows(unet: UNet2DConditionModel) -> None:
    """Changes the U-Net; its answers stay the same within rounding."""
    for module in unet.modules():
        if type(module) is nn.Linear:
            module.__class__ = LinearByRows
    unet.set_attn_processor(AttentionByRows())
