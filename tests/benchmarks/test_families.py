"""Models of random weights that stand for published ones."""

import pytest
import torch
from families import POOLED, TIME_IDS, Family, arguments, build_unet, caller

from worker.engine.compiled import CompiledRows
from worker.engine.model import call_unet

CPU = torch.device("cpu")
SMALL_XL = Family(
    "small, as SDXL",
    {
        "sample_size": 8,
        "block_out_channels": (32, 64),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2),
        "attention_head_dim": (2, 4),
        "cross_attention_dim": 64,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": POOLED + TIME_IDS * 8,
    },
    {"block_out_channels": (32, 32, 32, 32)},
    64,
    has_sizes=True,
)


@torch.inference_mode()
@pytest.mark.parametrize("compiles", [False, True])
def test_who_says_no_sizes_gets_whole_pictures_of_the_native_size(compiles: bool) -> None:
    unet = build_unet(SMALL_XL, CPU, torch.float32)
    call = call_unet(unet)
    if compiles:  # by the compiler's front alone, which is what such a call may ask too much of
        call = CompiledRows(call, (8, 8), backend="eager")
    for rows in (1, 2, 5):
        given = arguments(SMALL_XL, rows, CPU, torch.float32, sizes=False)
        sizes = torch.zeros(rows, POOLED), torch.full((rows, TIME_IDS), 64.0)
        torch.testing.assert_close(call(*given), caller(unet)(*given, *sizes))
