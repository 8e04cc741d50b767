"""OpenAI's own Python SDK against the running service: only its base URL is changed."""

import asyncio
import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent
from PIL import Image

from tests.service import ROOT

PAGE = ROOT / "docs" / "openai.md"
STEPS = 4
QUICK = {"steps": STEPS, "guidance": 1.0}


@pytest.fixture(scope="module")
def sdk(service: httpx.Client) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def picture(b64_json: str | None) -> Image.Image:
    assert b64_json is not None
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


def test_an_image_comes_as_base64_in_the_size_that_was_asked_for(sdk: OpenAI) -> None:
    reply = sdk.images.generate(
        prompt="red apple", model="dall-e-3", size="512x512", extra_body=QUICK | {"seed": 1}
    )
    (image,) = reply.data or []
    found = picture(image.b64_json)
    assert (found.format, found.size, reply.size) == ("PNG", (512, 512), "512x512")
    assert "red apple" in found.info["parameters"]
    said = reply.model_dump()
    assert (said["drawn_size"], said["steps"], said["model"]) == ("256x256", STEPS, "starter")
    assert said["warnings"] == [
        "Model starter cannot draw 512x512: the picture is drawn at 256x256 and resized."
    ]
    assert (said["cached"], said["data"][0]["seed"]) == (False, 1)


def test_several_images_are_those_that_the_native_route_makes(
    sdk: OpenAI, service: httpx.Client
) -> None:
    reply = sdk.images.generate(
        prompt="cat face", n=2, output_format="webp", extra_body=QUICK | {"seed": 7}
    )
    asked = {"prompt": "cat face", "images": 2, "format": "webp", "quality": 100, "seed": 7}
    job = service.post("/generate", json=asked | QUICK, headers={"Prefer": "wait=20"}).json()
    native = [service.get(image["url"]).content for image in job["images"]]
    assert [base64.b64decode(image.b64_json or "") for image in reply.data or []] == native
    assert (reply.output_format, reply.size) == ("webp", "128x128")


def test_a_link_opens_without_a_key_and_an_equal_request_is_answered_from_the_first(
    sdk: OpenAI,
) -> None:
    asked = {"seed": 3, "negative_prompt": "green", "sampler": "euler"} | QUICK
    first = sdk.images.generate(prompt="rocket", response_format="url", extra_body=asked)
    (image,) = first.data or []
    assert image.b64_json is None
    assert image.url is not None
    answer = httpx.get(image.url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    second = sdk.images.generate(prompt="rocket", extra_body=asked)
    assert second.model_dump()["cached"] is True
    assert base64.b64decode((second.data or [])[0].b64_json or "") == answer.content


def test_a_stream_shows_the_picture_while_it_develops(sdk: OpenAI) -> None:
    stream = sdk.images.generate(
        prompt="penguin", stream=True, partial_images=2, quality="low", output_format="jpeg"
    )
    *partial, last = stream
    assert all(isinstance(each, ImageGenPartialImageEvent) for each in partial)
    assert [each.partial_image_index for each in partial] == [0, 1]  # type: ignore[union-attr]
    assert {picture(each.b64_json).format for each in partial} == {"WEBP"}
    assert isinstance(last, ImageGenCompletedEvent)
    found = picture(last.b64_json)
    assert (found.format, found.size, last.size) == ("JPEG", (128, 128), "128x128")
    assert (last.quality, last.usage.total_tokens) == ("low", 0)
    assert last.model_dump()["steps"] == 12


def test_many_wait_at_once_and_one_who_hangs_up_has_its_job_cancelled(
    sdk: OpenAI, service: httpx.Client
) -> None:
    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=sdk.base_url, api_key="none", max_retries=0) as client:
            long = client.images.generate(prompt="castle", quality="max", user="impatient")
            leaving = asyncio.create_task(long)
            calls = [client.images.generate(prompt=name, extra_body=QUICK) for name in "abc"]
            replies = await asyncio.gather(*calls)
            leaving.cancel()
            return [reply.model_dump()["id"] for reply in replies]

    ids = asyncio.run(ask())
    states = {
        job["id"]: service.get(f"/jobs/{job['id']}?wait=10").json()["state"]
        for job in service.get("/jobs?limit=4").json()["jobs"]
    }
    assert {states.pop(each) for each in ids} == {"succeeded"}
    assert list(states.values()) == ["cancelled"]


def test_the_models_are_listed(sdk: OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["starter"]
    assert sdk.models.retrieve("starter").id == sdk.models.retrieve("gpt-image-2").id == "starter"


def test_the_example_of_the_page_runs(
    sdk: OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000/v1", str(sdk.base_url)), names)
    names["client"].close()
    with Image.open(tmp_path / "picture.png") as found:
        assert found.size == (512, 512)
    *told, last = capsys.readouterr().out.split()
    assert last == "image_generation.completed"
    assert told[-2:] == ["image_generation.partial_image"] * 2
