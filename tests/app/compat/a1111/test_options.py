from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue

from contract.sampler_names import sampler_named
from contract.workers import announce
from tests.app.compat.a1111.conftest import ask, info
from tests.app.conftest import develop
from tests.contract.samples import FINGERPRINT, model_card, worker_card

pytestmark = pytest.mark.anyio

OTHER = "other"
OTHER_HASH = "f" * 64


@pytest.fixture
def both(connection: Redis, model: str) -> None:
    """A second model."""
    announce(connection, worker_card("gpu-2", OTHER), model_card(OTHER, fingerprint=OTHER_HASH))


async def options(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/sdapi/v1/options")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def test_the_only_model_is_the_current_one(client: httpx.AsyncClient, model: str) -> None:
    assert (await options(client))["sd_model_checkpoint"] == f"tiny [{FINGERPRINT[:10]}]"


async def test_without_a_choice_or_a_model_the_option_is_null(
    client: httpx.AsyncClient, both: None
) -> None:
    assert (await options(client))["sd_model_checkpoint"] is None


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("name", [OTHER, f"{OTHER} [{'f' * 10}]", "f" * 10, OTHER_HASH])
async def test_a_chosen_model_holds_until_the_choice_is_taken_back(
    client: httpx.AsyncClient, jobs: Queue, name: str
) -> None:
    path = "/sdapi/v1/options"
    answer = await client.post(path, json={"sd_model_checkpoint": name})
    assert (answer.status_code, answer.json()) == (200, None)
    assert (await options(client))["sd_model_checkpoint"] == f"{OTHER} [{'f' * 10}]"
    for tiny in ({"sd_model_checkpoint": "tiny"}, {"sd_model_checkpoint": "tiny", "sd_vae": None}):
        told = info(await ask(client, lambda: develop(jobs), override_settings=tiny))
        assert told["sd_model_name"] == "tiny"
    await client.post(path, json={"sd_model_checkpoint": None})
    assert (await options(client))["sd_model_checkpoint"] is None
    refused = await client.post("/sdapi/v1/txt2img", json={"prompt": "a"})
    assert (refused.status_code, refused.json()["field"]) == (422, "sd_model_checkpoint")


async def test_all_that_is_told_can_be_sent_back(client: httpx.AsyncClient, both: None) -> None:
    whole = await options(client) | {"sd_model_checkpoint": OTHER}
    assert (await client.post("/sdapi/v1/options", json=whole)).status_code == 200
    assert (await options(client))["sd_model_checkpoint"].startswith(OTHER)


REFUSED = [
    ("sd_model_checkpoint", "no such"),
    ("sd_model_checkpoint", 7),
    ("sd_model_checkpoint", ["tiny"]),
    ("samples_format", "webp"),
    ("CLIP_stop_at_last_layers", 2),
    ("CLIP_stop_at_last_layers", {"a": [1]}),
    ("sd_vae", "some.safetensors"),
    ("no_such_option", None),
    ("outdir_samples", "/etc"),
]
MALFORMED = [b"", b"[]", b'"x"', b'{"\\ud800": 1}', b'{"sd_vae": NaN}']


async def test_other_options_are_refused_by_their_name_and_nothing_is_set(
    client: httpx.AsyncClient, both: None
) -> None:
    for field, value in REFUSED:
        given = {"sd_model_checkpoint": OTHER, field: value}
        answer = await client.post("/sdapi/v1/options", json=given)
        assert (answer.status_code, answer.json().get("field")) == (422, field), value
    assert (await options(client))["sd_model_checkpoint"] is None


async def test_what_are_no_options_is_refused(client: httpx.AsyncClient, model: str) -> None:
    headers = {"Content-Type": "application/json"}
    for content in MALFORMED:
        answer = await client.post("/sdapi/v1/options", content=content, headers=headers)
        assert answer.status_code == 422, content


async def test_each_sampler_that_is_listed_can_be_had(
    client: httpx.AsyncClient, model: str
) -> None:
    listed = (await client.get("/sdapi/v1/samplers")).json()
    names = [each["name"] for each in listed]
    assert len(names) == len(set(names)) == 13
    assert "PLMS" not in names  # which the model refuses
    assert all(sampler_named(each) for each in names)
    (dpm,) = [each for each in listed if each["name"] == "DPM++ 2M"]
    assert dpm["options"] == {"scheduler": "karras"}
    for each in (await client.get("/sdapi/v1/schedulers")).json():
        assert sampler_named("DPM++ 2M", each["name"]) == sampler_named("DPM++ 2M", each["label"])
        assert sampler_named("DPM++ 2M", each["name"]) is not None


async def test_models_are_listed_with_their_hashes(client: httpx.AsyncClient, both: None) -> None:
    listed = (await client.get("/sdapi/v1/sd-models")).json()
    assert [each["title"] for each in listed] == [
        f"{OTHER} [{'f' * 10}]",
        f"tiny [{FINGERPRINT[:10]}]",
    ]
    assert listed[1] == {
        "title": f"tiny [{FINGERPRINT[:10]}]",
        "model_name": "tiny",
        "hash": FINGERPRINT[:10],
        "sha256": FINGERPRINT,
        "filename": "tiny",
        "config": None,
    }


async def test_memory_is_that_of_the_machine(client: httpx.AsyncClient) -> None:
    ram = (await client.get("/sdapi/v1/memory")).json()["ram"]
    assert ram["free"] + ram["used"] == ram["total"] > 0


async def test_what_is_not_there_is_an_error_as_the_web_ui_writes_it(
    client: httpx.AsyncClient,
) -> None:
    for path, status in (("img2img", 501), ("no-such-thing", 404)):
        answer = await client.post(f"/sdapi/v1/{path}", json={})
        assert answer.status_code == status
        assert {"error", "detail"} <= answer.json().keys()
