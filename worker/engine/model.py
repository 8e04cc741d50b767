"""A loaded checkpoint: text encoder, U-Net and VAE of a Stable Diffusion folder of diffusers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from contract.errors import BadCheckpoint
from worker.engine.call_options import CallOptions
from worker.engine.compiled import CompiledOneByOne, CompiledRows
from worker.engine.fingerprint import fingerprint
from worker.engine.model_folder import check_folder, read_json
from worker.engine.recorder import Recorder
from worker.engine.row_by_row import part_rows
from worker.engine.row_plan import OneByOne, PlanFor, PlannedRows, fixed_plans
from worker.engine.solver import Advance, advance, fused

Shape = tuple[int, int]
"""Height and width of a picture in latent space."""

WEIGHTY_PARTS = {
    "text_encoder": CLIPTextModel,
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
}

UnetCall = Callable[[Tensor, Tensor, Tensor], Tensor]
VaeCall = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of a checkpoint on one device, in one dtype, ready to be called."""

    name: str
    device: torch.device
    dtype: torch.dtype
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler_config: dict[str, Any]
    fingerprint: str  # of the files
    unet_call: UnetCall
    vae_call: VaeCall
    advance_call: Advance = advance  # what follows the U-Net in a step; see `solver.py`

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.in_channels)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels of the picture per cell of latent space, along one side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def native_shape(self) -> Shape:
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(height), int(width)

    @property
    def native_size(self) -> tuple[int, int]:
        """Width and height of the pictures that the checkpoint was trained for, in pixels."""
        height, width = self.native_shape
        return width * self.vae_scale_factor, height * self.vae_scale_factor

    @property
    def token_limit(self) -> int:
        return int(self.tokenizer.model_max_length)

    def shape(self, width: int, height: int) -> Shape:
        return height // self.vae_scale_factor, width // self.vae_scale_factor

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        """One U-Net call.

        Args:
            latents: [rows, channels, h, w] float32, scaled as the sampler asks.
            timesteps: [rows] float32.
            conditioning: [rows, tokens, width] in the model's dtype.

        Returns:
            The model's output, [rows, channels, h, w] float32.
        """
        return self.unet_call(latents.to(self.dtype), timesteps, conditioning).float()

    def decode(self, latents: Tensor) -> Tensor:
        """One call of the VAE's decoder.

        Args:
            latents: [pictures, channels, h, w] float32, as the U-Net has them.

        Returns:
            [pictures, 3, height, width] in the model's dtype, from -1 to 1 or a little beyond.
        """
        return self.vae_call((latents / self.vae.config.scaling_factor).to(self.dtype))


def call_unet(unet: UNet2DConditionModel) -> UnetCall:
    """The U-Net as a function of latents, timesteps and conditioning."""

    def call(latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        output: Tensor = unet(
            latents, timesteps, encoder_hidden_states=conditioning, return_dict=False
        )[0]
        return output

    return call


def call_vae(vae: AutoencoderKL) -> VaeCall:
    """The VAE's decoder as a function of latents."""

    def call(latents: Tensor) -> Tensor:
        output: Tensor = vae.decode(latents, return_dict=False)[0]
        return output

    return call


def load_model(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    options: CallOptions | None = None,
    phase: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext(),
) -> Model:
    """Loads a Stable Diffusion checkpoint in diffusers' folder format; never asks the network.

    Args:
        phase: told which part is being loaded, for as long as it is.

    Raises:
        BadCheckpoint: a folder or file is missing or broken, or the parts do not fit together; the
            text says which.
    """
    check_folder(path)
    with ThreadPoolExecutor(1, thread_name_prefix="fingerprint") as aside:
        named = aside.submit(fingerprint, path)
        parts = {}
        for part, kind in WEIGHTY_PARTS.items():
            with phase(part):
                parts[part] = _load_module(kind, path, part, device, dtype)
        with phase("fingerprint"):
            name = named.result()
    unet, vae = parts["unet"], parts["vae"]
    model = Model(
        name=path.resolve().name,
        device=device,
        dtype=dtype,
        tokenizer=_load(CLIPTokenizer, path, "tokenizer"),
        text_encoder=parts["text_encoder"],
        unet=unet,
        vae=vae,
        scheduler_config=_scheduler_config(path),
        fingerprint=name,
        unet_call=call_unet(unet),
        vae_call=call_vae(vae),
    )
    _check_tokenizer(path, model)
    return prepare(model, options or CallOptions())


def prepare(model: Model, options: CallOptions) -> Model:
    """The model with calls that are as asked for; its modules may be changed."""
    predict, decode = call_unet(model.unet), call_vae(model.vae)
    if options.fused:
        model.unet.fuse_qkv_projections()
    for part in _laid_channels_last(model, options):
        part.to(memory_format=torch.channels_last)
    if options.fixed_rows is not None and model.device.type == "cpu":
        part_rows(model.unet)
    plan_for = _plan_for(model, options)
    if options.compiles:
        for_each = plan_for is not None
        predict = CompiledRows(predict, model.native_shape, for_each_count=for_each)
        decode = CompiledOneByOne(decode, model.native_shape)
    if model.device.type == "cuda":
        # Who asks for float32 gets it, and not TF32 inside convolutions, as is torch's habit.
        torch.backends.cudnn.allow_tf32 = False
        predict = Recorder(predict) if options.records else predict
    if plan_for is not None:
        predict = PlannedRows(predict, plan_for)
    if options.fixed_rows is not None:
        decode = OneByOne(decode)
    follow = fused(model.device, records=options.records, compiles=options.compiles)
    return replace(model, unet_call=predict, vae_call=decode, advance_call=follow)


def _laid_channels_last(model: Model, options: CallOptions) -> tuple[Any, ...]:
    """By default what it was measured to make faster: docs/performance.md."""
    if options.channels_last is not None:
        return (model.unet, model.vae) if options.channels_last else ()
    if model.device.type == "cpu":
        return (model.vae,)
    return (model.unet, model.vae) if options.compiles else ()


def _plan_for(model: Model, options: CallOptions) -> PlanFor | None:
    """None where calls have as many rows as there are."""
    if options.fixed_rows is not None:
        return fixed_plans(options.fixed_rows, model.native_shape)
    if options.plan is not None:
        plans = {model.native_shape: options.plan}
        return plans.get
    return None


def _scheduler_config(path: Path) -> dict[str, Any]:
    """As StableDiffusionPipeline has it: of these two, which old checkpoints leave out or set
    otherwise, it never uses another value."""
    config = read_json(path / "scheduler" / "scheduler_config.json")
    return config | {"steps_offset": 1, "clip_sample": False}


def _check_tokenizer(path: Path, model: Model) -> None:
    limit = model.text_encoder.config.max_position_embeddings
    if model.token_limit > limit:
        raise BadCheckpoint(
            f"The tokenizer of {path} has no model_max_length of at most {limit}, which is how "
            "many tokens its text encoder reads."
        )


def _load_module(
    module_class: Any, path: Path, part: str, device: torch.device, dtype: torch.dtype
) -> Any:
    """Straight from its file to the device, weight by weight: never the whole of it on the CPU."""
    options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    try:
        module, found = _load(module_class, path, part, device_map={"": device}, **options)
    except BadCheckpoint as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        # A weight that is in no file cannot be moved; loaded otherwise, the library says which.
        module, found = _load(module_class, path, part, **options)
    missing = sorted(found["missing_keys"])
    if missing:  # left to chance by the libraries, with no more than a line in the log
        raise BadCheckpoint(
            f"The checkpoint's {path / part} lacks {len(missing)} of its weights, "
            f"{missing[0]} among them."
        )
    return module.eval()


def _load(part_class: Any, path: Path, part: str, **options: Any) -> Any:
    try:
        return part_class.from_pretrained(str(path / part), local_files_only=True, **options)
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadCheckpoint(f"The checkpoint's {path / part} cannot be loaded: {reason}") from error
