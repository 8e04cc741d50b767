"""Every stage for a few steps, from the command line to a pipeline that diffusers loads."""

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open

from tests.training.samples import fill, options
from training.__main__ import main
from training.clip import load_clip
from training.data import PIXELS
from training.errors import Interrupted, TrainingError
from training.recipes import TINY
from training.stages import STAGES, run_stage
from training.vae import VaeStage
from training.workshop import Workshop

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A folder of its own in which `all` has run."""
    return shutil.copytree(trained, tmp_path / "copied")


def test_the_pipeline_loads_in_diffusers_and_draws(trained: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(trained / "models" / "starter"), local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("round apple", num_inference_steps=2, output_type="np").images[0]
    assert picture.shape == (32, 32, 3)


def test_every_weight_is_float16(trained: Path) -> None:
    files = list((trained / "models").rglob("*.safetensors"))
    assert len(files) >= 10
    for file in files:
        with safe_open(file, "pt") as content:
            kinds = {content.get_tensor(name).dtype for name in content.keys()}  # noqa: SIM118
        assert kinds == {torch.float16}, file


def test_a_finished_stage_says_which_recipe_made_it(trained: Path) -> None:
    note = json.loads((trained / "models" / "parts" / "vae" / "stage.json").read_text())
    assert note["steps"] == TINY.vae.optimisation.steps
    assert note["fingerprint"]
    assert note["measured"]["psnr_db"] > 0
    assert note["peak_memory_bytes"] > 2**24


def files_of(models: Path) -> dict[str, bytes]:
    """What a run's folder holds, but for how long the stages took and how much memory."""
    found = {}
    for file in sorted(path for path in models.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.name == "stage.json":
            left_out = ("seconds", "peak_memory_bytes", "peak_vram_bytes")
            note = {key: value for key, value in json.loads(content).items() if key not in left_out}
            content = json.dumps(note).encode()
        found[file.relative_to(models).as_posix()] = content
    return found


def test_all_stages_in_pieces_of_a_step_give_the_files_of_one_whole_run(
    trained: Path, shop: Workshop
) -> None:
    pieces = 0
    while not (shop.models / "starter").exists():
        run_stage("all", replace(shop, deadline=0.0))
        pieces += 1
        assert pieces < 50
    found, whole = files_of(shop.models), files_of(trained / "models")
    assert pieces > 20
    assert len(found) > 30
    assert [name for name, content in found.items() if content != whole[name]] == []


def test_a_full_disk_is_one_sentence_and_keeps_what_is_finished(
    shop: Workshop, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop.work.parent
    assert main(["tokenizer", *options(folder)]) == 0
    fill(small_disk)
    (shop.work / "vae").symlink_to(small_disk)
    capsys.readouterr()
    assert main(["all", *options(folder)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert "No space left on device): make room there" in said[-1]
    assert "Traceback" not in "".join(said)
    assert (shop.parts / "tokenizer" / "stage.json").is_file()


def test_finished_stages_are_skipped(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all", *options(trained)]) == 0
    said = capsys.readouterr().out
    for stage in ("data", "tokenizer", "vae", "clip", "judge", "unet", "refined", "decoder"):
        assert f"{stage}: done before." in said


def test_looks_and_logs_are_left_in_the_work_folder(trained: Path) -> None:
    for stage in ("vae", "unet", "refined"):
        assert len(list((trained / "work" / stage / "looks").glob("*.png"))) == 2
    for stage in ("vae", "clip", "judge", "unet", "refined"):
        assert list((trained / "work" / stage / "logs").glob("events.out.tfevents.*"))


def test_the_judge_loads_apart_from_the_pipeline(trained: Path) -> None:
    judge = load_clip(trained / "models" / "judge", torch.device("cpu"))
    clip = load_clip(trained / "models" / "parts" / "clip", torch.device("cpu"))
    assert not torch.equal(judge.text_projection.weight, clip.text_projection.weight)


def test_the_part_of_another_seed_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vae", "--seed", "1", *options(trained)]) == 1
    said = capsys.readouterr().err
    assert "was made by another recipe, seed or data set" in said
    assert "Traceback" not in said


def test_a_piece_ends_when_its_time_is_over(
    shop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("all", replace(shop, deadline=0.0))
    said = capsys.readouterr().out
    assert "vae: this piece's time is over; saved at step 1 of 4" in said
    assert "clip" not in said
    assert not (shop.parts / "vae").exists()


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("clip", "run `python -m training tokenizer` first"),
        ("unet", "run `python -m training vae` first"),
        ("refined", "run `python -m training unet` first"),
        ("export", "run `python -m training tokenizer` first"),
    ],
)
def test_a_stage_without_its_material_says_what_to_run(
    shop: Workshop, stage: str, said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        run_stage(stage, shop)


def test_the_unet_refuses_what_another_seed_made(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied / "models" / "parts" / "unet")
    assert main(["unet", "--seed", "1", *options(copied)]) == 1
    assert "parts/vae was made by another recipe, seed or data set" in capsys.readouterr().err


def test_an_export_refuses_parts_that_do_not_belong_together(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied / "models" / "parts" / "vae")
    shutil.rmtree(copied / "work" / "vae")
    assert main(["vae", "--seed", "1", *options(copied)]) == 0
    assert main(["export", *options(copied)]) == 1
    assert "parts/vae was made by another recipe, seed or data set" in capsys.readouterr().err


def test_an_export_leaves_card_licences_and_pictures(copied: Path) -> None:
    starter = copied / "models" / "starter"
    (starter / "pictures").mkdir()
    for name in ("MODEL_CARD.md", "LICENSES", "pictures/contact.png"):
        (starter / name).write_text(name, encoding="utf-8")
    assert main(["export", *options(copied)]) == 0
    for name in ("MODEL_CARD.md", "LICENSES", "pictures/contact.png"):
        assert (starter / name).read_text(encoding="utf-8") == name


@pytest.mark.parametrize(
    ("stage", "damaged"),
    [
        ("unet", "parts/vae/diffusion_pytorch_model.safetensors"),
        ("unet", "parts/clip/text_encoder/model.safetensors"),
        ("refined", "parts/unet/unet/diffusion_pytorch_model.safetensors"),
        ("clip", "parts/tokenizer/tokenizer.json"),
        ("decoder", "parts/vae/diffusion_pytorch_model.safetensors"),
        ("export", "parts/decoder/diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_damaged_part_is_one_sentence(
    copied: Path, stage: str, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied / "models" / "parts" / stage, ignore_errors=True)
    file = copied / "models" / damaged
    file.write_bytes(file.read_bytes()[:100])
    assert main([stage, *options(copied)]) == 1
    said = capsys.readouterr().err.strip()
    assert "is missing or damaged" in said
    assert "\n" not in said


def test_a_signal_while_a_stage_finishes_ends_the_run_and_keeps_the_stage(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = VaeStage.look

    def interrupted(stage: VaeStage, folder: Path, step: int) -> Mapping[str, float]:
        if step == TINY.vae.optimisation.steps:
            signal.raise_signal(signal.SIGTERM)
        return look(stage, folder, step)

    monkeypatch.setattr(VaeStage, "look", interrupted)
    with pytest.raises(Interrupted, match="vae: finished"):
        run_stage("all", shop)
    assert (shop.parts / "vae" / "stage.json").is_file()
    assert not (shop.work / "clip").exists()


def test_a_corrupt_cache_is_one_sentence_and_exit_code_1(
    shop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop.work / "pictures" / PIXELS).write_bytes(b"")
    folder = shop.work.parent
    assert main(["data", *options(folder)]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("training: ")
    assert "is damaged: delete the folder" in said
    assert "\n" not in said


def test_the_work_folder_is_ignored_by_git(shop: Workshop) -> None:
    run_stage("data", shop)
    assert (shop.work / ".gitignore").read_text() == "*\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "-m training all --minutes 120 "),
        (["STAGE=vae", "MINUTES=5"], "-m training vae --minutes 5 "),
        (["MINUTES="], "-m training all  "),
    ],
)
def test_make_trains_in_pieces_of_two_hours(given: list[str], said: str) -> None:
    command = ["make", "--dry-run", "train", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said in done.stdout


def test_stages_stand_in_the_order_of_the_lecture() -> None:
    assert list(STAGES) == [
        "data", "tokenizer", "vae", "kl", "clip", "judge", "unet", "refined", "decoder", "export",
    ]  # fmt: skip
