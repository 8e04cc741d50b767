"""What a recipe says: every number that a stage's result depends on.

The defaults are the shipped model's; `recipes.py` has what differs from stage to stage. A recipe's
fingerprint stands in each checkpoint, so that no stage goes on with what another recipe began.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from training.sources import EmojiSet, Package

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
class DecoderRecipe:
    """The finished decoder learns on, by the losses of the autoencoder without the KL term."""

    vae: VaeRecipe
    favoured_style: str = "flat"  # what a prompt gives that names none
    favoured: int = 4  # times as often as any other comes each picture of that style
    favoured_first: int = 32  # and, of that style, each label of first_labels.txt


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """How often a text is not just the label."""

    other_name_share: float = 0.12  # a tag that belongs to this concept alone; "apple" of a red one
    template_share: float = 0.15
    tag_share: float = 0.1  # the label and one of its tags
    style_named_share: float = 0.7  # of the pictures whose style may be named
    style_first_share: float = 0.5  # "noto cat", and otherwise "cat, noto"
    colour_words: str = "red orange yellow green blue purple pink brown black white grey gray"
    templates: tuple[str, ...] = (
        "{a} {}",
        "the {}",
        "a picture of {}",
        "a picture of {a} {}",
        "an icon of {a} {}",
        "{} emoji",
        "{} symbol",
        "a drawing of {a} {}",
    )


@dataclass(frozen=True, slots=True)
class VariationRecipe:
    """The same thing in another colour, or several times."""

    recoloured_share: float = 0.15  # of the pictures that can be
    repeated_share: float = 0.08
    least_colourful: float = 0.25  # share of clear colour below which there is nothing to turn
    colours: tuple[tuple[str, float], ...] = (  # hues in turns
        ("red", 0.0),
        ("orange", 0.075),
        ("yellow", 0.135),
        ("green", 0.34),
        ("blue", 0.59),
        ("purple", 0.76),
        ("pink", 0.91),
    )
    numbers: tuple[tuple[str, int], ...] = (("two", 2), ("three", 3))
    groups: tuple[str, ...] = (
        "smileys-emotion",
        "animals-nature",
        "food-drink",
        "travel-places",
        "activities",
        "objects",
    )
    left_out_subgroups: tuple[str, ...] = ("time", "place-map", "emotion")


@dataclass(frozen=True, slots=True)
class AugmentationRecipe:
    scales: tuple[float, float] = (0.8, 1.15)
    shift: float = 0.12  # of half the side
    tint: float = 0.12  # how far each colour's contrast is changed
    blurred_share: float = 0.25
    noise: float = 0.06  # at most, as a standard deviation; the pictures go from -1 to 1


@dataclass(frozen=True, slots=True)
class TextEncoderRecipe:
    width: int = 192
    layers: int = 4
    heads: int = 6


@dataclass(frozen=True, slots=True)
class PictureEncoderRecipe:
    size: int = 64  # pixels of the side, to which pictures are scaled
    channels: tuple[int, ...] = (32, 64, 128, 192)
    blocks: int = 2  # per level
    norm_groups: int = 8
    width: int = 192  # of the common space


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    optimisation: Optimisation
    held_out_style: str  # never seen in training; empty to train on all
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    picture_encoder: PictureEncoderRecipe = PictureEncoderRecipe()
    texts: TextRecipe = TextRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    variation: VariationRecipe = VariationRecipe()
    candidates: int = 500  # among which a picture is to be found from its label
    candidates_seed: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleRecipe:
    """Stable Diffusion's own."""

    timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012


PEOPLE = (
    "family",
    "person",
    "person-activity",
    "person-fantasy",
    "person-gesture",
    "person-resting",
    "person-role",
    "person-sport",
    "person-symbol",
)
"""Subgroups of some 330 concepts that differ in little but hair and clothes."""


@dataclass(frozen=True, slots=True)
class UnetRecipe:
    optimisation: Optimisation
    channels: tuple[int, ...] = (64, 128, 224)
    attention: tuple[bool, ...] = (False, True, True)  # per level, from the finest
    layers: int = 1
    heads: int = 8
    norm_groups: int = 32
    text_rate: float = 0.1  # of the text encoder, as a share of the learning rate; 0 freezes it
    style: str = "flat"  # what a prompt gives that names none
    other_styles: tuple[str, ...] = ("glossy", "noto")  # given when they are named
    styled_share: float = 0.08
    left_out_subgroups: tuple[str, ...] = PEOPLE
    empty_share: float = 0.1
    most_snr: float = 5.0
    least_snr: float = 0.3
    schedule: ScheduleRecipe = ScheduleRecipe()
    texts: TextRecipe = TextRecipe(style_named_share=1.0)
    variation: VariationRecipe = VariationRecipe()


@dataclass(frozen=True, slots=True)
class RefiningRecipe:
    """The finished U-Net learns on from a lower rate, and sees what matters most more often."""

    optimisation: Optimisation
    favoured: int = 4  # times as often as any other comes each label of first_labels.txt


@dataclass(frozen=True, slots=True)
class LookRecipe:
    """What the U-Net draws now and then while it learns; no result depends on it."""

    pictures: int = 64
    steps: int = 20
    guidance: float = 5.0
    seed: int = 0
    noisy_from: int = 850  # the loss from this timestep on is watched apart


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
    clip: ClipRecipe
    judge: ClipRecipe
    unet: UnetRecipe
    refining: RefiningRecipe
    decoder: DecoderRecipe
    look: LookRecipe = field(default_factory=LookRecipe)
    loop: LoopRecipe = field(default_factory=LoopRecipe)


def fingerprint(*parts: Any) -> str:
    """A short name of recipes, seeds and other fingerprints: equal if and only if they are."""
    plain = [asdict(part) if hasattr(part, "__dataclass_fields__") else part for part in parts]
    text = json.dumps(plain, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]
