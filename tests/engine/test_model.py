"""Each way in which a checkpoint may be broken stops start-up with a sentence that says which."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from contract.errors import BadCheckpoint
from tests.engine.conftest import CPU, STARTER
from worker.engine.model import Model, load_model
from worker.engine.model_folder import PARTS

WEIGHTS = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint, to be broken."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def sentence(path: Path) -> str:
    """What the loader says about the checkpoint, on one line, without the folder's own name."""
    with pytest.raises(BadCheckpoint) as caught:
        load_model(path, CPU, torch.float32)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text.replace(str(path), "FOLDER")


def change_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    content |= changes
    kept = {key: value for key, value in content.items() if value is not ...}
    file.write_text(json.dumps(kept), encoding="utf-8")


def test_a_model_knows_its_shapes(tiny: Model, starter: Model) -> None:
    assert tiny.latent_channels == 4
    assert tiny.vae_scale_factor == 8
    assert tiny.native_shape == (8, 8)
    assert tiny.native_size == (64, 64)
    assert tiny.token_limit == 77
    assert tiny.shape(width=96, height=64) == (8, 12)
    assert starter.name == STARTER.name
    assert starter.vae_scale_factor == 8
    assert starter.native_size == (128, 128)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_part_is_in_the_dtype_asked_for_and_answers_in_float32(
    checkpoint: Path, dtype: torch.dtype
) -> None:
    model = load_model(checkpoint, CPU, dtype)
    for part in (model.text_encoder, model.unet, model.vae):
        assert {weight.dtype for weight in part.parameters()} == {dtype}
        assert not part.training
    with torch.inference_mode():
        output = model.predict(
            torch.zeros(2, 4, 8, 8), torch.tensor([1.0, 999.0]), torch.zeros(2, 77, 32, dtype=dtype)
        )
    assert output.dtype == torch.float32
    assert output.shape == (2, 4, 8, 8)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    found = sentence(tmp_path / "nowhere")
    assert found.startswith("The checkpoint folder FOLDER does not exist. DARKROOM_CHECKPOINT must")


@pytest.mark.parametrize("name", [".", "model_index.json", "unet", f"vae/{WEIGHTS['vae']}"])
def test_a_file_that_this_user_may_not_read(
    copy: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)  # so that nothing above it is looked at
    copy.parent.chmod(0o755)
    (copy / name).chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may read everything
    try:
        found = sentence(Path(copy.name))
    finally:
        os.seteuid(user)
    assert re.match(r"The checkpoint's FOLDER\S* may not be read by this user: make", found)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert sentence(tmp_path).startswith("The checkpoint folder FOLDER holds no model_index.json")


def test_a_pipeline_of_another_class(copy: Path) -> None:
    change_json(copy / "model_index.json", _class_name="FluxPipeline")
    assert sentence(copy) == (
        "The checkpoint FOLDER is a FluxPipeline; only StableDiffusionPipeline is supported."
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    assert sentence(copy) == f"The checkpoint FOLDER has no folder {part}/."


@pytest.mark.parametrize(("part", "file"), PARTS.items())
def test_a_configuration_that_is_missing(copy: Path, part: str, file: str) -> None:
    (copy / part / file).unlink()
    assert sentence(copy) == f"The checkpoint FOLDER has no file {part}/{file}."


@pytest.mark.parametrize("file", ["model_index.json", *(f"{k}/{v}" for k, v in PARTS.items())])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "cannot be read: Expecting property name"),
        (b"\xff\xfe", "cannot be read: 'utf-8' codec"),
        (b"[]", "does not hold a JSON object."),
    ],
)
def test_a_configuration_that_is_broken(copy: Path, file: str, content: bytes, reason: str) -> None:
    (copy / file).write_bytes(content)
    assert sentence(copy).startswith(f"The checkpoint's FOLDER/{file} {reason}")


@pytest.mark.parametrize(("part", "file"), WEIGHTS.items())
def test_weights_that_are_missing(copy: Path, part: str, file: str) -> None:
    (copy / part / file).unlink()
    expected = f"The checkpoint FOLDER has no weights (*.safetensors) in {part}/."
    assert sentence(copy) == expected


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(("part", "file"), WEIGHTS.items())
def test_weights_that_are_cut_short(copy: Path, part: str, file: str, share: float) -> None:
    weights = copy / part / file
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(len(whole) * share)])
    assert sentence(copy).startswith(f"The checkpoint's FOLDER/{part} cannot be loaded: ")


@pytest.mark.parametrize(("part", "file"), WEIGHTS.items())
def test_a_weight_that_is_missing_is_not_left_to_chance(copy: Path, part: str, file: str) -> None:
    weights = load_file(copy / part / file)
    name = sorted(weights)[3]
    del weights[name]
    save_file(weights, copy / part / file, metadata={"format": "pt"})
    expected = f"The checkpoint's FOLDER/{part} lacks 1 of its weights, {name} among them."
    assert sentence(copy) == expected


@pytest.mark.parametrize(("part", "file"), WEIGHTS.items())
def test_a_weight_of_another_shape(copy: Path, part: str, file: str) -> None:
    weights = load_file(copy / part / file)
    weights[sorted(weights)[3]] = torch.zeros(3, 5)
    save_file(weights, copy / part / file, metadata={"format": "pt"})
    assert sentence(copy).startswith(f"The checkpoint's FOLDER/{part} cannot be loaded: ")


def test_a_tokenizer_without_a_vocabulary(copy: Path) -> None:
    (copy / "tokenizer" / "tokenizer.json").unlink()
    assert sentence(copy).startswith("The checkpoint FOLDER has no vocabulary in tokenizer/: ")


def test_a_tokenizer_that_is_broken(copy: Path) -> None:
    (copy / "tokenizer" / "tokenizer.json").write_text("{", encoding="utf-8")
    assert sentence(copy).startswith("The checkpoint's FOLDER/tokenizer cannot be loaded: ")


@pytest.mark.parametrize("limit", [..., 78])
def test_a_tokenizer_of_more_tokens_than_the_text_encoder_reads(copy: Path, limit: Any) -> None:
    change_json(copy / "tokenizer" / "tokenizer_config.json", model_max_length=limit)
    assert sentence(copy).startswith(
        "The tokenizer of FOLDER has no model_max_length of at most 77"
    )


def exchange_unet(folder: Path, **changes: Any) -> None:
    """Puts a U-Net of another configuration, with weights that fit it, in the place of the old."""
    config = UNet2DConditionModel.load_config(folder / "unet")
    UNet2DConditionModel.from_config(config, **changes).save_pretrained(folder / "unet")


def test_a_unet_that_reads_other_prompts_than_the_text_encoder_writes(copy: Path) -> None:
    exchange_unet(copy, cross_attention_dim=48)
    assert sentence(copy) == (
        "The U-Net of FOLDER reads prompts of width 48, but its text encoder writes 32."
    )


def test_a_unet_of_other_channels_than_the_vae(copy: Path) -> None:
    exchange_unet(copy, in_channels=9)
    assert sentence(copy) == (
        "The U-Net of FOLDER turns 9 channels into 4, but the latents of its VAE have 4."
    )


def test_a_unet_that_wants_a_guidance_embedding(copy: Path) -> None:
    exchange_unet(copy, time_cond_proj_dim=16)
    assert sentence(copy).startswith("The U-Net of FOLDER wants a guidance embedding")


def test_a_unet_of_the_sdxl_family(copy: Path) -> None:
    exchange_unet(
        copy,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
    )
    assert sentence(copy).startswith("The U-Net of FOLDER is of the SDXL family")
