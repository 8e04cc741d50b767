"""Every number that a stage's result depends on, in one place.

`FULL` makes the shipped model, `TINY` runs every stage for a few steps in the tests. A recipe's
fingerprint stands in each checkpoint, so that no stage goes on with what another recipe began.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from training.sources import LABELS, SETS, EmojiSet, Package

FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class DataRecipe:
    sets: tuple[EmojiSet, ...]
    labels: Package
    size: int = 128  # pixels, height and width
    margin: int = 6  # white pixels on each side
    oversampling: int = 2  # rendered at so many times the size, then scaled down
    left_out_groups: tuple[str, ...] = ("component", "flags")
    held_out_share: float = 0.05  # of the concepts
    split_seed: int = 0


@dataclass(frozen=True, slots=True)
class TokenizerRecipe:
    merges: int = 2700
    token_limit: int = 24  # the start and end tokens included
    words: str = (
        "a an the of and with in on at by to picture photo drawing icon emoji symbol style "
        "one two three four five six seven eight nine ten many some big small large tiny "
        "red orange yellow green blue purple pink brown black white gray grey golden "
        "light dark bright happy sad flat round square new old"
    )
    word_weight: int = 20  # how often each of `words` counts in learning the merges


@dataclass(frozen=True, slots=True)
class Optimisation:
    """AdamW (Loshchilov & Hutter 2019) with a warm-up, a plateau and a decay."""

    steps: int
    batch: int  # pictures a step
    learning_rate: float
    warmup_steps: int = 200
    decay_from: float = 0.0  # share of the steps after which the rate falls
    decay: Literal["cosine", "linear"] = "cosine"
    last_rate: float = 0.0  # at the end, as a share of learning_rate
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999


@dataclass(frozen=True, slots=True)
class VaeRecipe:
    optimisation: Optimisation
    channels: tuple[int, ...] = (16, 32, 64, 128)  # per level; each level halves the side
    layers: int = 1
    norm_groups: int = 8
    latent_channels: int = 4
    mid_attention: bool = False
    squared_weight: float = 1.0
    gradient_weight: float = 0.5
    pyramid_levels: int = 3
    pyramid_weight: float = 0.5
    kl_weight: float = 1e-3  # per latent value
    normalised_on: int = 2048  # pictures, to find the scale of the latents


@dataclass(frozen=True, slots=True)
class LoopRecipe:
    """How a run is watched and saved; no result depends on it."""

    save_minutes: float = 5.0
    log_steps: int = 25
    look_steps: int = 500


@dataclass(frozen=True, slots=True)
class Recipe:
    data: DataRecipe
    tokenizer: TokenizerRecipe
    vae: VaeRecipe
    small_vae: VaeRecipe
    small_vae_no_kl: VaeRecipe
    loop: LoopRecipe = field(default_factory=LoopRecipe)


def fingerprint(*parts: Any) -> str:
    """A short name of recipes, seeds and other fingerprints: equal if and only if they are."""
    plain = [asdict(part) if hasattr(part, "__dataclass_fields__") else part for part in parts]
    text = json.dumps(plain, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]


SMALL_VAE = VaeRecipe(
    Optimisation(steps=800, batch=16, learning_rate=2e-3), channels=(8, 16, 32, 64), kl_weight=1e-2
)

FULL = Recipe(
    data=DataRecipe(sets=SETS, labels=LABELS),
    tokenizer=TokenizerRecipe(),
    vae=VaeRecipe(Optimisation(steps=2500, batch=16, learning_rate=2e-3)),
    small_vae=SMALL_VAE,
    small_vae_no_kl=replace(SMALL_VAE, kl_weight=0.0),
)

TINY_VAE = VaeRecipe(
    Optimisation(steps=4, batch=4, learning_rate=1e-3, warmup_steps=1),
    channels=(4, 8, 8, 8),
    norm_groups=4,
)

TINY = Recipe(
    data=replace(FULL.data, size=32, margin=2),
    tokenizer=TokenizerRecipe(merges=40),
    vae=TINY_VAE,
    small_vae=TINY_VAE,
    small_vae_no_kl=replace(TINY_VAE, kl_weight=0.0),
    loop=LoopRecipe(log_steps=1, look_steps=2),
)

RECIPES: Mapping[str, Recipe] = {"full": FULL, "tiny": TINY}
