"""AUTOMATIC1111's API as its clients call it: `webuiapi` itself, and the very requests that Open
WebUI and SillyTavern send."""

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from webuiapi import WebUIApi

from contract.sampler_names import sampler_named
from tests.service import ROOT
from tests.waiting import until

STEPS = 2
MANY_STEPS = 150  # long enough to be interrupted
IDLE = (0.0, 0)


@pytest.fixture
def api(service: httpx.Client) -> Iterator[WebUIApi]:
    url = service.base_url
    client = WebUIApi(host=url.host, port=url.port, steps=STEPS)
    yield client
    client.session.close()


def opened(picture: str) -> Image.Image:
    """Of raw base64, as every client reads it."""
    image = Image.open(io.BytesIO(base64.b64decode(picture, validate=True)))
    image.load()
    return image


def levels(image: Image.Image) -> np.ndarray:
    """Of a picture's channels, signed: `[height, width, 3]`."""
    return np.asarray(image).astype(int)


def latest_state(service: httpx.Client) -> str:
    (job,) = service.get("/jobs", params={"limit": 1}).json()["jobs"]
    state: str = job["state"]
    return state


def test_webuiapi_gets_its_pictures_and_their_parameters(
    api: WebUIApi, service: httpx.Client
) -> None:
    side = service.get("/models").json()["models"][0]["max_side"]
    result = api.txt2img(prompt="red apple", negative_prompt="green", seed=11, n_iter=2)
    assert [image.size for image in result.images] == [(512, 512)] * 2
    assert result.info["all_seeds"] == [11, 12]
    assert result.info["extra_generation_params"]["Size"] == f"{side}x{side}"
    assert (result.info["width"], result.info["steps"]) == (512, STEPS)
    written = [image.info["parameters"] for image in result.images]
    assert result.info["infotexts"] == written
    assert "Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 11" in written[0]
    assert "Resized to: 512x512" in written[0]
    assert result.parameters["cfg_scale"] == 7.0
    alone = api.txt2img(prompt="red apple", negative_prompt="green", seed=12)
    # In company a picture is within 1/255 of itself alone; Lanczos's negative lobes, and the
    # rounding after them, make at most 2/255 of that.
    assert np.abs(levels(alone.image) - levels(result.images[1])).max() <= 2


@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "DDIM"])
def test_webuiapi_is_given_the_sampler_that_it_names(api: WebUIApi, name: str) -> None:
    result = api.txt2img(prompt="red apple", seed=1, sampler_name=name, width=128, height=128)
    said = result.info["sampler_name"], result.info["extra_generation_params"]["Schedule type"]
    assert sampler_named(*said) == sampler_named(name)


def test_webuiapi_reads_all_that_it_can_ask_for(
    api: WebUIApi, capsys: pytest.CaptureFixture[str]
) -> None:
    (title,) = api.util_get_model_names()
    assert title.startswith("starter [")
    api.util_set_model("starter")
    assert api.util_get_current_model() == title
    assert {"Euler a", "DPM++ 2M", "DDIM"} <= set(api.util_get_sampler_names())
    assert api.util_get_scheduler_names() == ["automatic", "karras", "uniform"]
    assert api.get_scripts() == {"txt2img": [], "img2img": []}
    assert api.get_embeddings() == {"loaded": {}, "skipped": {}}
    for nothing in (
        api.get_sd_vae,
        api.get_upscalers,
        api.get_latent_upscale_modes,
        api.get_loras,
        api.get_hypernetworks,
        api.get_face_restorers,
        api.get_realesrgan_models,
        api.get_prompt_styles,
    ):
        assert nothing() == []
    assert api.get_cmd_flags()["api"]
    assert api.get_memory().keys() == {"ram", "cuda"}
    assert api.refresh_checkpoints() is None
    assert (api.interrupt(), api.skip()) == ({}, {})
    api.util_wait_for_ready()
    assert "loading starter" in capsys.readouterr().out


def test_webuiapi_watches_a_picture_and_ends_it(api: WebUIApi) -> None:
    with ThreadPoolExecutor(1) as caller:
        asked = {"prompt": "sailboat", "steps": MANY_STEPS, "width": 128, "height": 128}
        waiting = caller.submit(api.txt2img, **asked)
        shown = until(lambda: api.get_progress()["current_image"])
        progress = api.get_progress()
        assert 0 < progress["progress"] < 1
        assert progress["state"]["sampling_steps"] == MANY_STEPS
        assert max(opened(shown).size) <= 512
        api.interrupt()
        result = waiting.result(20)
    assert (result.images, result.info["infotexts"]) == ([], [])
    api.util_wait_for_ready()


def test_webuiapi_is_told_what_cannot_be_done(api: WebUIApi) -> None:
    with pytest.raises(RuntimeError, match=r"422.*enable_hr"):
        api.txt2img(prompt="red apple", enable_hr=True)
    with pytest.raises(RuntimeError, match=r"422.*Sampler not found"):
        api.txt2img(prompt="red apple", sampler_name="Restart")


def test_a_client_that_hangs_up_cancels_its_job(service: httpx.Client) -> None:
    body = {"prompt": "penguin", "steps": MANY_STEPS, "width": 128, "height": 128}
    with pytest.raises(httpx.ReadTimeout):
        service.post("/sdapi/v1/txt2img", json=body, timeout=0.5)
    until(lambda: latest_state(service) == "cancelled")


def test_open_webui_verifies_chooses_a_model_and_draws(service: httpx.Client) -> None:
    """As its `routers/images.py` calls it, without credentials."""
    headers = {"authorization": ""}
    options = service.get("/sdapi/v1/options", headers=headers).json()
    (model,) = service.get("/sdapi/v1/sd-models", headers=headers).json()
    assert (model["title"], model["model_name"]) == (options["sd_model_checkpoint"], "starter")
    options["sd_model_checkpoint"] = model["title"]
    saved = service.post("/sdapi/v1/options", json=options, headers=headers)
    assert saved.is_success
    body = {"prompt": "red apple", "batch_size": 1, "width": 512, "height": 512, "steps": STEPS}
    answer = service.post("/sdapi/v1/txt2img", json=body, headers=headers).json()
    assert [opened(image).size for image in answer["images"]] == [(512, 512)]
    assert json.loads(answer["info"])["sampler_name"] == "DPM++ 2M"


SILLY_TAVERN: dict[str, Any] = {
    "url": "http://127.0.0.1:7860",
    "auth": "",
    "prompt": "red apple, best quality",
    "negative_prompt": "lowres, bad anatomy",
    "sampler_name": "DDIM",
    "scheduler": "normal",
    "steps": STEPS,
    "cfg_scale": 7,
    "width": 512,
    "height": 512,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "Latent",
    "hr_scale": 1.0,
    "hr_additional_modules": [],
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 0,
    "override_settings": {"CLIP_stop_at_last_layers": 1},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
    "do_not_save_samples": False,
}


def test_silly_tavern_pings_loads_its_lists_and_draws(service: httpx.Client) -> None:
    """As its `stable-diffusion.js` calls it, with the bare `Basic` of empty credentials."""
    headers = {"Authorization": "Basic"}

    def get(path: str) -> Any:
        answer = service.get(f"/sdapi/v1/{path}", headers=headers)
        assert answer.is_success
        return answer.json()

    assert "forge_preset" not in get("options")
    assert [each["name"] for each in get("upscalers") + get("latent-upscale-modes")] == []
    assert [each["model_name"] for each in get("sd-vae")] == []
    assert "DDIM" in [each["name"] for each in get("samplers")]
    assert "automatic" in [each["name"] for each in get("schedulers")]
    (title,) = [each["title"] for each in get("sd-models")]
    chosen = service.post(
        "/sdapi/v1/options",
        content=json.dumps({"sd_model_checkpoint": title}),
        headers=headers | {"Content-Type": "application/json"},
    )
    assert chosen.is_success
    progress = get("progress")
    assert (progress["progress"], progress["state"]["job_count"]) == IDLE
    answer = service.post("/sdapi/v1/txt2img", json=SILLY_TAVERN, headers=headers)
    assert opened(answer.json()["images"][0]).size == (512, 512)


def test_silly_tavern_aborts_by_an_interruption_and_a_dropped_connection(
    service: httpx.Client,
) -> None:
    headers = {"Authorization": "Basic"}
    body = SILLY_TAVERN | {"steps": MANY_STEPS, "prompt": "penguin"}
    with pytest.raises(httpx.ReadTimeout):
        service.post("/sdapi/v1/txt2img", json=body, headers=headers, timeout=0.5)
    assert service.post("/sdapi/v1/interrupt", headers=headers).json() == {}
    until(lambda: latest_state(service) == "cancelled")
    progress = service.get("/sdapi/v1/progress", headers=headers).json()
    assert (progress["progress"], progress["state"]["job_count"]) == IDLE


def examples(service: httpx.Client) -> list[str]:
    """Those of the page, for a service that is elsewhere."""
    page = (ROOT / "docs" / "a1111.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^(?:    .*\n|\n(?=    ))+", page, re.MULTILINE)
    return [dedent(block).strip().replace("8000", str(service.base_url.port)) for block in blocks]


def test_the_examples_of_the_page_run(
    service: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    python, shell = examples(service)
    names: dict[str, Any] = {}
    exec(python, names)
    names["api"].session.close()
    assert opened(base64.b64encode(Path("apple.png").read_bytes()).decode()).size == (128, 128)
    if shutil.which("curl"):
        Path("apple.png").unlink()
        subprocess.run(shell, shell=True, check=True, timeout=60)
        assert Path("apple.png").stat().st_size > 0
