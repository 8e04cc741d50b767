"""`FULL` makes the shipped model; `TINY` runs every stage for a few steps, in the tests."""

from collections.abc import Mapping
from dataclasses import replace

from training.recipe import (
    ClipRecipe,
    DataRecipe,
    DecoderRecipe,
    LookRecipe,
    LoopRecipe,
    Optimisation,
    PictureEncoderRecipe,
    Recipe,
    RefiningRecipe,
    TextEncoderRecipe,
    TokenizerRecipe,
    UnetRecipe,
    VaeRecipe,
)
from training.sources import LABELS, SETS

SMALL_VAE = VaeRecipe(
    Optimisation(steps=800, batch=16, learning_rate=2e-3), channels=(8, 16, 32, 64), kl_weight=1e-2
)

CLIP = ClipRecipe(
    Optimisation(steps=1600, batch=128, learning_rate=1e-3, warmup_steps=100, weight_decay=0.05),
    held_out_style="twemoji",
)

FULL = Recipe(
    data=DataRecipe(sets=SETS, labels=LABELS),
    tokenizer=TokenizerRecipe(),
    vae=VaeRecipe(Optimisation(steps=2500, batch=16, learning_rate=2e-3)),
    small_vae=SMALL_VAE,
    small_vae_no_kl=replace(SMALL_VAE, kl_weight=0.0),
    clip=CLIP,
    judge=replace(CLIP, held_out_style="", optimisation=replace(CLIP.optimisation, steps=5000)),
    unet=UnetRecipe(
        Optimisation(
            steps=18000,
            batch=32,
            learning_rate=8e-4,
            warmup_steps=300,
            decay_from=0.6,
            decay="linear",
            ema_decay=0.9995,
        )
    ),
    refining=RefiningRecipe(
        Optimisation(
            steps=5000,
            batch=32,
            learning_rate=4e-4,
            decay_from=0.3,
            decay="linear",
            ema_decay=0.999,
        )
    ),
    decoder=DecoderRecipe(
        VaeRecipe(
            Optimisation(steps=3000, batch=16, learning_rate=1e-3, decay="linear", ema_decay=0.99),
            squared_weight=4.0,
        )
    ),
)

TINY_VAE = VaeRecipe(
    Optimisation(steps=4, batch=4, learning_rate=1e-3, warmup_steps=1),
    channels=(4, 8, 8, 8),
    norm_groups=4,
)

TINY_CLIP = ClipRecipe(
    Optimisation(steps=4, batch=8, learning_rate=1e-3, warmup_steps=1),
    held_out_style="twemoji",
    text_encoder=TextEncoderRecipe(width=16, layers=1, heads=2),
    picture_encoder=PictureEncoderRecipe(size=16, channels=(8, 8), blocks=1, width=16),
    candidates=8,
)

TINY = Recipe(
    data=replace(FULL.data, size=32, margin=2),
    tokenizer=TokenizerRecipe(merges=40),
    vae=TINY_VAE,
    small_vae=TINY_VAE,
    small_vae_no_kl=replace(TINY_VAE, kl_weight=0.0),
    clip=TINY_CLIP,
    judge=replace(TINY_CLIP, held_out_style=""),
    unet=UnetRecipe(
        Optimisation(steps=4, batch=4, learning_rate=1e-3, warmup_steps=1),
        channels=(8, 16),
        attention=(False, True),
        heads=2,
        norm_groups=4,
    ),
    refining=RefiningRecipe(Optimisation(steps=4, batch=4, learning_rate=1e-3, warmup_steps=1)),
    decoder=DecoderRecipe(TINY_VAE),
    look=LookRecipe(pictures=4, steps=2),
    loop=LoopRecipe(log_steps=1, look_steps=2),
)

RECIPES: Mapping[str, Recipe] = {"full": FULL, "tiny": TINY}
