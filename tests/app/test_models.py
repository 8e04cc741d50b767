import httpx
import pytest
from redis import Redis

from contract.samplers import SAMPLERS
from contract.workers import announce, withdraw
from tests.contract.samples import model_card, worker_card

pytestmark = pytest.mark.anyio


async def test_models_tell_what_they_can_do_and_who_holds_them(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    announce(connection, worker_card("gpu-2"), model_card())
    gone = worker_card("gpu-3", "large")
    announce(connection, gone, model_card("large"))
    withdraw(connection, gone)
    for _ in range(3):
        await client.post("/generate", json={"prompt": "a", "model": "large"})
    models = (await client.get("/models")).json()["models"]
    assert [(m["id"], m["live_workers"], m["queued"], m["default"]) for m in models] == [
        ("large", 0, 3, False),
        ("tiny", 2, 0, True),
    ]
    tiny = models[1]
    assert set(tiny["samplers"]) == set(SAMPLERS)
    assert tiny["samplers"]["lcm"] == {"max_steps": 50, "refusal": None}
    assert tiny["samplers"]["pndm"]["refusal"] == "diffusers cannot do it"
    assert (tiny["min_side"], tiny["max_side"], tiny["side_multiple"]) == (32, 128, 16)


async def test_without_a_model_the_list_is_empty(client: httpx.AsyncClient) -> None:
    response = await client.get("/models")
    assert (response.status_code, response.json()) == (200, {"models": []})


async def test_of_workers_that_differ_the_largest_says_how_large_pictures_may_be(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    """Whoever announced the model last."""
    for name, side in (("large", 256), ("small", 64)):
        card = worker_card(name, model, max_side=side)
        announce(connection, card, model_card(model, max_side=side))
    (told,) = (await client.get("/models")).json()["models"]
    assert told["max_side"] == 256
    asked = {"prompt": "a", "width": 256, "height": 256}
    assert (await client.post("/generate", json=asked)).status_code == 202
