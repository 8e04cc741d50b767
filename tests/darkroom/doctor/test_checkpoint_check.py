"""Checkpoint folders, whole and broken, and what would compute with them."""

import json
import shutil
from pathlib import Path

import pytest

from tests.darkroom.doctor.conftest import Doctor
from tests.service import STARTER


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STARTER, tmp_path / "copy"))


def weights(folder: Path) -> Path:
    return next((folder / "unet").glob("*.safetensors"))


def change(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_whole_one_is_described(doctor: Doctor, copy: Path) -> None:
    change(copy / "unet" / "config.json", cross_attention_dim=768, sample_size=64)
    change(copy / "text_encoder" / "config.json", hidden_size=768)
    report = doctor(DARKROOM_CHECKPOINT=str(copy))
    assert report.says("checkpoint", "ok", "Stable Diffusion 1.x, 512x512 pixels")
    assert report.says("checkpoint", "ok", "19 million weights in 37 MB (F16); its model is called")


def test_broken_ones_are_told_apart(doctor: Doctor, copy: Path) -> None:
    whole = weights(copy).read_bytes()
    weights(copy).write_bytes(whole[: len(whole) // 2])
    assert doctor(DARKROOM_CHECKPOINT=str(copy)).says("checkpoint", "fail", "is cut short, at")
    weights(copy).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert doctor().says("checkpoint", "fail", "is broken; fetch it again")
    weights(copy).rename(copy / "unet" / "model.bin")
    report = doctor()
    assert report.says("checkpoint", "fail", "has no weights (*.safetensors) in unet/")
    assert "is a pickle, which may run anything" in str(report.of("checkpoint")[0][2])
    shutil.rmtree(copy / "vae")
    assert doctor().says("checkpoint", "fail", "has no folder vae/")
    shutil.rmtree(copy)
    report = doctor("--part", "worker")
    assert report.says("checkpoint", "fail", "does not exist")
    assert report.code == 1


def test_pickles_beside_the_weights_are_a_warning(doctor: Doctor, copy: Path) -> None:
    (copy / "vae" / "diffusion_pytorch_model.bin").touch()
    report = doctor(DARKROOM_CHECKPOINT=str(copy))
    assert report.says("checkpoint", "warn", "also holds 1 pickles, such as diffusion_pytorch")


def test_another_family_is_told(doctor: Doctor, copy: Path) -> None:
    change(copy / "unet" / "config.json", addition_embed_type="text_time")
    report = doctor(DARKROOM_CHECKPOINT=str(copy))
    assert report.says("checkpoint", "fail", "is of the SDXL family")


def test_a_gpu_that_is_asked_for_and_absent(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert doctor(DARKROOM_DEVICE="cuda").says("device", "fail", "DARKROOM_DEVICE is cuda, but")
    report = doctor(DARKROOM_DEVICE="auto", DARKROOM_DTYPE="float16")
    assert report.says("device", "ok", "computes on the CPU")
    assert report.says("device", "fail", "DARKROOM_DTYPE is float16")


def test_what_is_not_installed_is_no_fault_unless_it_is_to_run_here(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name in ("torch", "obstore") else name,
    )
    report = doctor(DARKROOM_CHECKPOINT="/nowhere")
    assert report.says("device", "ok", "torch: not installed here")
    assert not report.of("checkpoint")
    assert doctor("--part", "worker").says("device", "fail", "torch: not installed here")
    report = doctor("--part", "api")
    assert not report.of("device")
    assert not report.of("checkpoint")
    report = doctor(DARKROOM_PICTURES="s3://bucket/prefix", REDIS_URL="redis://127.0.0.1:1/0")
    assert report.says("settings", "fail", "DARKROOM_PICTURES needs obstore")
