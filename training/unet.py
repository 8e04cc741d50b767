"""The denoiser: from noise and a prompt to a latent, a little at a time.

Latent diffusion (Rombach et al. 2022): a U-Net with cross-attention to the prompt's tokens, trained
to predict v. One prompt in ten is empty, so that the same U-Net can be asked without a prompt,
which classifier-free guidance needs (Ho & Salimans 2022, algorithm 1).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.clip import Clip, embed_pictures, embed_texts
from training.data import to_uint8
from training.device import use_plain_attention
from training.diffusion import add_noise, ddim, guided, loss_weights, scaled_linear, velocity
from training.emoji import Concept
from training.latents import Source, choices_of, choose
from training.loop import Loss
from training.optimiser import Trained
from training.order import Draw
from training.parts import reading, save_half
from training.recipe import LookRecipe, UnetRecipe
from training.sheet import save_sheet
from training.texts import Captioner
from training.tokenizer import token_ids
from training.vae import decode


def build_unet(
    recipe: UnetRecipe, latent_channels: int, size: int, width: int
) -> UNet2DConditionModel:
    """`size` cells of latent space on a side; prompts of `width` numbers a token."""
    down = ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in recipe.attention]
    up = ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(recipe.attention)]
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=recipe.channels,
        layers_per_block=recipe.layers,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        cross_attention_dim=width,
        attention_head_dim=recipe.heads,
        norm_num_groups=recipe.norm_groups,
    )


@dataclass(frozen=True, slots=True)
class Painter:
    """The parts that make a picture from a prompt, on one device."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    recipe: UnetRecipe

    def prompts(self, texts: Sequence[str]) -> Tensor:
        """[texts, tokens, width]: what the U-Net reads."""
        ids = token_ids(self.tokenizer, list(texts)).to(self.unet.device)
        hidden: Tensor = self.text_encoder(input_ids=ids).last_hidden_state
        return hidden

    @torch.no_grad()
    def latents(self, texts: Sequence[str], seed: int, steps: int, guidance: float) -> Tensor:
        """[texts, channels, h, w], from noise of this seed."""
        size, channels = self.unet.config.sample_size, self.unet.config.in_channels
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(texts), channels, size, size, generator=generator)
        unconditional = self.prompts([""]).expand(len(texts), -1, -1)
        denoise = guided(self._denoise, unconditional, self.prompts(texts), guidance)
        path = ddim(denoise, noise.to(self.unet.device), scaled_linear(self.recipe.schedule), steps)
        return list(path)[-1][0]

    def pictures(self, texts: Sequence[str], seed: int, steps: int, guidance: float) -> Tensor:
        """[texts, 3, height, width], about -1 to 1."""
        return decode(self.vae, self.latents(texts, seed, steps, guidance))

    def _denoise(self, x: Tensor, t: Tensor, prompts: Tensor) -> Tensor:
        v: Tensor = self.unet(x, t, encoder_hidden_states=prompts).sample
        return v


class UnetStage:
    """Learns from cached latents; the text encoder goes along slowly, or stays as CLIP left it."""

    def __init__(
        self,
        name: str,
        recipe: UnetRecipe,
        look: LookRecipe,
        painter: Painter,
        concepts: Sequence[Concept],
        sources: Sequence[Source],
        latents: Tensor,
        judge: Clip | None = None,
    ) -> None:
        self.name, self.recipe, self.look_recipe, self.painter = name, recipe, look, painter
        self.concepts, self.judge = concepts, judge
        self.device = painter.unet.device
        use_plain_attention(painter.unet, painter.text_encoder)
        self.model = nn.ModuleDict({"unet": painter.unet, "text": painter.text_encoder})
        painter.text_encoder.requires_grad_(recipe.text_rate > 0)
        self.sources, self.latents = sources, latents
        self.choices = choices_of(sources)
        self.drawn = self.choices
        self.captioner = Captioner(concepts, recipe.texts)
        self.schedule = scaled_linear(recipe.schedule)
        self.weights = loss_weights(
            self.schedule.signal_to_noise, recipe.most_snr, recipe.least_snr
        )

    def favour(self, labels: Collection[str], times: int) -> None:
        """Each of these concepts comes so many times as often as any other."""
        favoured = [
            choices
            for label, choices in zip(self.labels(), self.choices, strict=True)
            if label in labels
        ]
        self.drawn = self.choices + favoured * (times - 1)

    def go_on_from(self, folder: Path) -> None:
        """Takes the weights that `save` wrote.

        Raises:
            TrainingError: the folder is damaged.
        """
        with reading(folder):
            unet = UNet2DConditionModel.from_pretrained(
                str(folder / "unet"), local_files_only=True, torch_dtype=torch.float32
            )
            text = CLIPTextModel.from_pretrained(
                str(folder / "text_encoder"), local_files_only=True, dtype=torch.float32
            )
            self.painter.unet.load_state_dict(unet.state_dict())
            self.painter.text_encoder.load_state_dict(text.state_dict())

    def trained(self) -> list[Trained]:
        text = [Trained(self.painter.text_encoder, self.recipe.text_rate)]
        return [Trained(self.painter.unet), *(text if self.recipe.text_rate > 0 else [])]

    def loss(self, draw: Draw) -> Loss:
        x0, prompts = self._batch(draw)
        t = torch.randint(len(self.schedule), (len(x0),), generator=draw.generator)
        e = draw.normal(*x0.shape)
        alpha, sigma = self.schedule.at(t)
        x_t, v = add_noise(x0, e, alpha, sigma), velocity(x0, e, alpha, sigma)
        predicted = self.painter.unet(
            x_t.to(self.device), t.to(self.device), encoder_hidden_states=prompts
        ).sample
        errors = ((predicted.float() - v.to(self.device)) ** 2).mean(dim=(1, 2, 3)).cpu()
        noisy = t >= self.look_recipe.noisy_from
        parts = {"v": errors.mean(), "v_noisy": errors[noisy].sum() / noisy.sum().clamp_min(1)}
        return Loss((self.weights[t] * errors).mean(), parts)

    def look(self, folder: Path, step: int) -> Mapping[str, float]:
        """A sheet of some concepts; and, where there is a judge, how many it recognises."""
        look, labels = self.look_recipe, self.labels()
        order = np.random.default_rng(look.seed).permutation(len(labels))[: look.pictures]
        shown = [labels[place] for place in order]
        pictures = self.painter.pictures(shown, look.seed, look.steps, look.guidance)
        save_sheet(folder / "looks" / f"{step:06}.png", to_uint8(pictures), 16, shown)
        if self.judge is None:
            return {}
        texts, points = embed_texts(self.judge, labels), embed_pictures(self.judge, pictures)
        best = (points @ texts.T).argmax(dim=1).cpu().numpy()
        return {f"top1_of_{len(labels)}": float((best == order).mean())}

    def save(self, folder: Path) -> None:
        """unet/ and text_encoder/ in float16, and labels.txt: what it was taught to draw."""
        (folder / "labels.txt").write_text("\n".join(self.labels()) + "\n", encoding="utf-8")
        save_half(self.painter.unet, folder / "unet")
        save_half(self.painter.text_encoder, folder / "text_encoder")

    def labels(self) -> list[str]:
        """What it learns to draw in the default style."""
        concepts = (self.sources[choices.plain[0]].shown.concept for choices in self.choices)
        return [self.concepts[concept].label for concept in concepts]

    def _batch(self, draw: Draw) -> tuple[Tensor, Tensor]:
        rows = draw.rows(len(self.drawn), self.recipe.optimisation.batch).tolist()
        places = [choose(self.drawn[row], draw, self.recipe) for row in rows]
        texts = self.captioner.texts([self.sources[place].shown for place in places], draw)
        empty = (draw.uniform(len(texts)) < self.recipe.empty_share).tolist()
        asked = ["" if none else text for text, none in zip(texts, empty, strict=True)]
        return self.latents[places].float(), self.painter.prompts(asked)
