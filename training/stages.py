"""The stages in their order: what each needs, what it makes, and when it need not run again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from training import data, parts
from training.clip import load_clip, save_clip
from training.contrast import ClipStage
from training.data import PictureSet
from training.emoji import first_labels
from training.errors import Interrupted, TrainingError
from training.export import export_pipeline
from training.latents import Source, load_latents, make_latents, plan, save_latents
from training.loop import Ending, Stage
from training.memory import begin_peak, peak
from training.order import stage_seed
from training.recipe import ClipRecipe, Optimisation, UnetRecipe, VaeRecipe, fingerprint
from training.tokenizer import build_tokenizer, corpus, learn_merges, load_tokenizer, save_tokenizer
from training.unet import Painter, UnetStage, build_unet
from training.vae import DecoderStage, VaeStage, encode, load_vae, normalise_latents
from training.workshop import Workshop


def make_pictures(shop: Workshop) -> bool:
    folder = shop.work / "pictures"
    if data.has_pictures(folder):
        shop.pictures()  # says what is wrong with them, if anything
        return _say("data: done before.")
    pictures = data.make_pictures(shop.recipe.data, shop.work / "packages")
    data.save_pictures(pictures, shop.recipe.data, folder)
    return _say(f"data: {len(pictures)} pictures of {len(pictures.concepts)} concepts.")


def make_tokenizer(shop: Workshop) -> bool:
    recipe, folder, mark = shop.recipe.tokenizer, shop.parts / "tokenizer", shop.tokenizer_mark
    if parts.finished(folder, mark):
        return _say("tokenizer: done before.")
    pictures = shop.pictures()
    merges = learn_merges(corpus(pictures.concepts, pictures.styles, recipe), recipe.merges)
    tokenizer = build_tokenizer(merges)
    measured = {"tokens": tokenizer.get_vocab_size()}
    note = parts.Finished("tokenizer", mark, len(merges), 0, measured, peak().memory_bytes)
    parts.publish(folder, note, lambda to: save_tokenizer(tokenizer, recipe.token_limit, to))
    return _say(f"tokenizer: {tokenizer.get_vocab_size()} tokens.")


def train_vae(shop: Workshop) -> bool:
    return _train_vae(shop, "vae", shop.recipe.vae)


def train_kl_pair(shop: Workshop) -> bool:
    """Two small autoencoders that differ in the KL term alone, to show what it does."""
    pair = {"vae_with_kl": shop.recipe.small_vae, "vae_without_kl": shop.recipe.small_vae_no_kl}
    return all(_train_vae(shop, name, recipe) for name, recipe in pair.items())


def tune_decoder(shop: Workshop) -> bool:
    """The decoder alone learns on, as Stability AI tuned Stable Diffusion's (sd-vae-ft-mse)."""
    folder, mark, recipe = shop.parts / "decoder", shop.decoder_mark, shop.recipe.decoder
    if parts.finished(folder, mark):
        return _say("decoder: done before.")
    _require(shop, vae=shop.vae_mark("vae", shop.recipe.vae))
    pictures, vae = shop.pictures(), load_vae(shop.parts / "vae", shop.device)
    is_held_out = data.held_out(pictures, shop.recipe.data)
    stage = DecoderStage("decoder", recipe, pictures, is_held_out, vae, first_labels())
    return _train_part(
        shop,
        stage,
        folder,
        recipe.vae.optimisation,
        mark,
        lambda to: parts.save_half(stage.model, to),
    )


def _train_vae(shop: Workshop, name: str, recipe: VaeRecipe) -> bool:
    mark = shop.vae_mark(name, recipe)
    if parts.finished(shop.parts / name, mark):
        return _say(f"{name}: done before.")
    pictures = shop.pictures()
    torch.manual_seed(stage_seed(shop.seed, name))
    is_held_out = data.held_out(pictures, shop.recipe.data)
    stage = VaeStage(name, recipe, pictures, is_held_out, shop.device)
    ending = _train(shop, stage, recipe.optimisation, mark)
    if ending.is_finished:
        shown = pictures.batch(stage.seen[: recipe.normalised_on])
        normalise_latents(stage.model, encode(stage.model, shown))
        folder = shop.parts / name
        _publish(folder, name, mark, ending, lambda to: parts.save_half(stage.model, to))
    return ending.is_finished


def train_clip(shop: Workshop) -> bool:
    return _train_clip(shop, "clip", shop.recipe.clip, shop.parts / "clip")


def train_judge(shop: Workshop) -> bool:
    """A CLIP of its own, which no other stage sees: it says whether a picture shows its label."""
    return _train_clip(shop, "judge", shop.recipe.judge, shop.models / "judge")


def _train_clip(shop: Workshop, name: str, recipe: ClipRecipe, folder: Path) -> bool:
    mark = shop.clip_mark(name, recipe)
    if parts.finished(folder, mark):
        return _say(f"{name}: done before.")
    _require(shop, tokenizer=shop.tokenizer_mark)
    tokenizer, pictures = load_tokenizer(shop.parts / "tokenizer"), shop.pictures()
    torch.manual_seed(stage_seed(shop.seed, name))
    stage = ClipStage(name, recipe, pictures, tokenizer, shop.device)
    return _train_part(
        shop, stage, folder, recipe.optimisation, mark, lambda to: save_clip(stage.model, to)
    )


def train_unet(shop: Workshop) -> bool:
    folder, mark = shop.parts / "unet", shop.unet_mark
    if parts.finished(folder, mark):
        return _say("unet: done before.")
    stage = _unet_stage(shop, "unet", shop.recipe.unet)
    return _train_part(shop, stage, folder, shop.recipe.unet.optimisation, mark, stage.save)


def refine_unet(shop: Workshop) -> bool:
    """A second wave of the learning rate, as in SGDR (Loshchilov & Hutter 2017), in which the
    labels of the first checkpoint come more often."""
    folder, mark, recipe = shop.parts / "refined", shop.refined_mark, shop.recipe.refining
    if parts.finished(folder, mark):
        return _say("refined: done before.")
    _require(shop, unet=shop.unet_mark)
    stage = _unet_stage(
        shop, "refined", replace(shop.recipe.unet, optimisation=recipe.optimisation)
    )
    stage.go_on_from(shop.parts / "unet")
    stage.favour(first_labels(), recipe.favoured)
    return _train_part(shop, stage, folder, recipe.optimisation, mark, stage.save)


def _unet_stage(shop: Workshop, name: str, recipe: UnetRecipe) -> UnetStage:
    _require(
        shop,
        vae=shop.vae_mark("vae", shop.recipe.vae),
        clip=shop.clip_mark("clip", shop.recipe.clip),
    )
    pictures = shop.pictures()
    vae, clip = (
        load_vae(shop.parts / "vae", shop.device),
        load_clip(shop.parts / "clip", shop.device),
    )
    sources = plan(pictures, recipe)
    latents = _latents(shop, vae, pictures, sources)
    torch.manual_seed(stage_seed(shop.seed, name))
    width, (_, channels, size, _) = clip.text.config.hidden_size, latents.shape
    unet = build_unet(recipe, channels, size, width).to(shop.device)
    painter = Painter(clip.tokenizer, clip.text, unet, vae, recipe)
    judge = shop.models / "judge"
    return UnetStage(
        name,
        recipe,
        shop.recipe.look,
        painter,
        pictures.concepts,
        sources,
        latents,
        load_clip(judge, shop.device) if judge.is_dir() else None,
    )


def _latents(
    shop: Workshop, vae: AutoencoderKL, pictures: PictureSet, sources: list[Source]
) -> Tensor:
    encoder = parts.weights_digest(shop.parts / "vae")
    mark = fingerprint("latents", encoder, shop.recipe.data, [asdict(each) for each in sources])
    latents = load_latents(mark, shop.work / "latents")
    if latents is None:
        latents = make_latents(vae, pictures, sources, shop.recipe.unet)
        save_latents(latents, mark, shop.work / "latents")
    return latents


def _require(shop: Workshop, **marks: str) -> None:
    """What a stage is built on must be finished, and made by this very recipe and seed."""
    for part, mark in marks.items():
        if parts.finished(shop.parts / part, mark) is None:
            raise TrainingError(
                f"{shop.parts / part} is missing: run `python -m training {part}` first."
            )


def export(shop: Workshop) -> bool:
    _require(
        shop,
        tokenizer=shop.tokenizer_mark,
        vae=shop.vae_mark("vae", shop.recipe.vae),
        unet=shop.unet_mark,
        refined=shop.refined_mark,
        decoder=shop.decoder_mark,
    )
    size = export_pipeline(shop.recipe, shop.parts, shop.models / "starter")
    return _say(f"export: {shop.models / 'starter'} holds {size / 1e6:.1f} MB of weights.")


def _train(shop: Workshop, stage: Stage, optimisation: Optimisation, mark: str) -> Ending:
    ending = shop.train(stage, shop.run(stage.name, optimisation, mark))
    if not ending.is_finished:
        _say(
            f"{stage.name}: this piece's time is over; saved at step {ending.step} of "
            f"{optimisation.steps}, and the same command goes on from there."
        )
    return ending


def _train_part(
    shop: Workshop,
    stage: Stage,
    folder: Path,
    optimisation: Optimisation,
    mark: str,
    fill: Callable[[Path], None],
) -> bool:
    """Whether it is finished, and so in its folder."""
    ending = _train(shop, stage, optimisation, mark)
    if ending.is_finished:
        _publish(folder, stage.name, mark, ending, fill)
    return ending.is_finished


def _publish(
    folder: Path, name: str, mark: str, ending: Ending, fill: Callable[[Path], None]
) -> None:
    note = parts.Finished(
        name,
        mark,
        ending.step,
        round(ending.seconds),
        _rounded(ending.measured),
        ending.peak.memory_bytes,
        ending.peak.vram_bytes,
    )
    parts.publish(folder, note, fill)
    said = f"{name}: finished after {ending.seconds / 60:.0f} minutes; see {folder}."
    if ending.signal_number:
        raise Interrupted(said, ending.signal_number)
    _say(said)


def _rounded(measured: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in measured.items()}


def _say(sentence: str) -> bool:
    """Always true, so that a stage can end with what it says."""
    tqdm.write(sentence)
    return True


STAGES: Mapping[str, Callable[[Workshop], bool]] = {
    "data": make_pictures,
    "tokenizer": make_tokenizer,
    "vae": train_vae,
    "kl": train_kl_pair,
    "clip": train_clip,
    "judge": train_judge,
    "unet": train_unet,
    "refined": refine_unet,
    "decoder": tune_decoder,
    "export": export,
}
"""In their order. Each says whether it is finished; an unfinished one goes on at the next run."""


def run_stage(name: str, shop: Workshop) -> None:
    """One stage, or `all` of them until one is not finished.

    Raises:
        TrainingError: see the stages.
    """
    _make_work_folder(shop.work)
    for each in STAGES if name == "all" else (name,):
        begin_peak()
        if not STAGES[each](shop):
            return


def _make_work_folder(work: Path) -> None:
    """Which git ignores, wherever it is."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            f"{work} cannot be written ({error.strerror}): name another folder with --work."
        ) from error
