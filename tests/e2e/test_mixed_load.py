"""24 concurrent mixed requests over HTTP, each picture held against diffusers' own."""

import asyncio
import io
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from contract.samplers import SAMPLERS
from tests.reference import Wish, develop
from tests.service import STARTER
from worker.engine.model import Model, load_model

PROMPTS = ("red apple", "rocket", "cat face", "sunflower", "castle", "penguin")
SIZES = ((64, 64), (64, 64), (96, 64))
REQUESTS = 24
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(STARTER, torch.device("cpu"), torch.float32)


def wish(n: int) -> Wish:
    sampler = list(SAMPLERS)[n % len(SAMPLERS)]
    width, height = SIZES[n % len(SIZES)]
    return Wish(
        sampler=sampler,
        steps=4 + n % 9,
        guidance=(1.0, 4.0, 7.5, 9.0)[n % 4],
        seed=1000 + n,
        prompt=PROMPTS[n % len(PROMPTS)],
        negative_prompt="green" if n % 5 == 0 else "",
        width=width,
        height=height,
    )


async def picture(client: httpx.AsyncClient, asked: Wish) -> NDArray[np.uint8]:
    fields = Wish.__dataclass_fields__.keys() - {"is_urgent"}
    body = {field: getattr(asked, field) for field in fields}
    answer = await client.post("/generate", json=body, headers={"Prefer": "wait=60"})
    assert answer.status_code == httpx.codes.OK, answer.text
    job: dict[str, Any] = answer.json()
    assert job["state"] == "succeeded", job
    content = (await client.get(job["images"][0]["url"])).raise_for_status().content
    return np.asarray(Image.open(io.BytesIO(content)))


async def all_pictures(base_url: httpx.URL, wishes: list[Wish]) -> list[NDArray[np.uint8]]:
    limits = httpx.Limits(max_connections=len(wishes))
    async with httpx.AsyncClient(base_url=base_url, timeout=LIMIT_S, limits=limits) as client:
        return await asyncio.gather(*(picture(client, asked) for asked in wishes))


def test_24_concurrent_mixed_requests_are_the_pictures_of_diffusers(
    service: httpx.Client, model: Model
) -> None:
    wishes = [wish(n) for n in range(REQUESTS)]
    found = asyncio.run(all_pictures(service.base_url, wishes))
    for asked, pixels in zip(wishes, found, strict=True):
        expected = develop(model, asked).pixels[0]
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= 1, asked
