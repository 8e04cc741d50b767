import json
import time
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue

from app.settings import AppSettings
from contract.claims import take
from contract.identity import created_at
from contract.request import MOST_SEED
from contract.samplers import SAMPLERS
from contract.version import SINCE
from contract.workers import Pace, announce, withdraw
from tests.app.conftest import WORKER, serving
from tests.contract.samples import model_card, worker_card

pytestmark = pytest.mark.anyio


async def refused(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/generate", json={"prompt": "a red circle"} | fields)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    return problem


async def test_a_prompt_is_accepted_with_everything_filled_in(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    response = await client.post("/generate", json={"prompt": " a red circle "})
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert "retry-after" in response.headers
    assert (job["state"], job["model"], job["queue_position"]) == ("queued", "tiny", 1)
    seed = job["request"].pop("seed")
    assert 0 <= seed <= MOST_SEED
    assert job["request"] == {
        "prompt": "a red circle",
        "negative_prompt": "",
        "guidance": 7.5,
        "guidance_start": 0.0,
        "guidance_stop": 1.0,
        "steps": 30,
        "sampler": "dpmpp_2m_karras",
        "images": 1,
        "priority": "normal",
        "previews": 0,
        "model": "tiny",
        "width": 64,
        "height": 64,
        "resized_width": None,
        "resized_height": None,
        "format": "png",
        "quality": None,
        "metadata": True,
        "fitted": [],
    }
    held = take(jobs, "gpu-1")
    assert held is not None
    assert held.job_id == job["id"]
    told = {name: value for name, value in job["request"].items() if name not in SINCE}
    assert held.job.kwargs["request"] == told | {"seed": seed}


async def test_a_guidance_interval_is_named_in_the_answer(
    client: httpx.AsyncClient, model: str
) -> None:
    response = await client.post("/generate", json={"prompt": "a", "guidance_stop": 0.6})
    job = response.json()
    assert job["approximations"] == ["guidance_interval"]
    assert (job["request"]["guidance_start"], job["request"]["guidance_stop"]) == (0.0, 0.6)
    plain = await client.post("/generate", json={"prompt": "a"})
    assert plain.json()["approximations"] == []
    again = (await client.post(f"/jobs/{job['id']}/retry")).json()
    assert again["request"] == job["request"]


async def test_the_answer_is_what_a_poll_says(client: httpx.AsyncClient, model: str) -> None:
    accepted = await client.post("/generate", json={"prompt": "a", "seed": 5})
    polled = await client.get(accepted.headers["location"])
    assert polled.json() == accepted.json()
    assert created_at(accepted.json()["id"]) is not None


async def test_places_in_the_queue_count_up(client: httpx.AsyncClient, model: str) -> None:
    places = [
        (await client.post("/generate", json={"prompt": "a"})).json()["queue_position"]
        for _ in range(3)
    ]
    assert places == [1, 2, 3]


async def test_drawn_seed_leaves_room_for_the_last_picture(
    client: httpx.AsyncClient, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda most: most - 1)
    response = await client.post("/generate", json={"prompt": "a", "images": 10})
    assert response.json()["request"]["seed"] == MOST_SEED - 9


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("prompt", '{"prompt": ""}'),
        ("prompt", '{"prompt": "  "}'),
        ("prompt", '{"steps": 3}'),
        ("prompt", '{"prompt": "a\\u0000b"}'),
        ("prompt", '{"prompt": "\\ud800"}'),
        ("negative_prompt", '{"prompt": "a", "negative_prompt": "\\udfff"}'),
        ("guidance", '{"prompt": "a", "guidance": NaN}'),
        ("guidance", '{"prompt": "a", "guidance": Infinity}'),
        ("guidance", '{"prompt": "a", "guidance": -Infinity}'),
        ("guidance", '{"prompt": "a", "guidance": 1e999}'),
        ("guidance_start", '{"prompt": "a", "guidance_start": 1}'),
        ("guidance_stop", '{"prompt": "a", "guidance_start": 0.5, "guidance_stop": 0.2}'),
        ("steps", '{"prompt": "a", "steps": "20"}'),
        ("steps", '{"prompt": "a", "steps": true}'),
        ("steps", '{"prompt": "a", "steps": 1.5}'),
        ("steps", '{"prompt": "a", "steps": 151}'),
        ("steps", '{"prompt": "a", "steps": NaN}'),
        ("seed", '{"prompt": "a", "seed": 4294967296}'),
        ("seed", '{"prompt": "a", "seed": 4294967295, "images": 2}'),
        ("width", '{"prompt": "a", "width": 63}'),
        ("images", '{"prompt": "a", "images": []}'),
        ("colour", '{"prompt": "a", "colour": "red"}'),
        ("model", '{"prompt": "a", "model": "a\\u0000"}'),
        ("body", "[]"),
        ("body", '"a"'),
        ("body", "null"),
        ("body", '{"prompt": "a"'),
        ("body", '{"prompt": "a", "seed": ' + "1" * 5000 + "}"),
        ("body", "[" * 50_000),
        ("body", ""),
    ],
)
async def test_wrong_input_is_refused_by_the_name_of_its_field(
    client: httpx.AsyncClient, model: str, field: str, text: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/generate", content=text.encode(), headers=headers)
    problem = response.json()
    assert response.status_code == problem["status"] == 422
    assert problem["code"] == "invalid_request"
    assert problem["field"] == field
    assert field in [fault["field"] for fault in problem["errors"]]
    assert field in problem["detail"]


async def test_every_fault_is_told_at_once(client: httpx.AsyncClient, model: str) -> None:
    problem = await refused(client, steps=0, images=11)
    assert {fault["field"] for fault in problem["errors"]} == {"steps", "images"}


async def test_names_that_are_no_text_do_not_break_the_answer(
    client: httpx.AsyncClient, model: str
) -> None:
    content = b'{"prompt": "a", "\\ud800": 1}'
    headers = {"Content-Type": "application/json"}
    response = await client.post("/generate", content=content, headers=headers)
    assert response.status_code == 422
    assert "\ud800" not in response.text


async def test_answer_to_thousands_of_wrong_fields_is_small(
    client: httpx.AsyncClient, model: str
) -> None:
    response = await client.post("/generate", json={f"x{n}": n for n in range(4000)})
    assert response.status_code == 422
    assert len(response.content) < 10_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_sent_as_json_is_refused(
    client: httpx.AsyncClient, model: str, kind: str
) -> None:
    headers = {"Content-Type": kind}
    response = await client.post("/generate", content=b'{"prompt": "a"}', headers=headers)
    assert response.status_code == 422
    assert "application/json" in response.json()["detail"]


async def test_a_body_over_64_kb_is_too_large(client: httpx.AsyncClient, model: str) -> None:
    empty = len(json.dumps({"prompt": "a", "x": ""}))
    just = await client.post("/generate", json={"prompt": "a", "x": "b" * (65536 - empty)})
    over = await client.post("/generate", json={"prompt": "a", "x": "b" * 65536})
    assert (just.status_code, just.json()["field"]) == (422, "x")
    assert (over.status_code, over.json()["code"]) == (413, "body_too_large")


async def test_unknown_sampler_lists_the_valid_ones(client: httpx.AsyncClient, model: str) -> None:
    problem = await refused(client, sampler="euler_b")
    assert (problem["field"], problem["allowed"]) == ("sampler", list(SAMPLERS))


async def test_unknown_model_lists_the_valid_ones(client: httpx.AsyncClient, model: str) -> None:
    problem = await refused(client, model="large")
    assert (problem["code"], problem["field"]) == ("unknown_model", "model")
    assert problem["allowed"] == ["tiny"]


async def test_sampler_that_the_model_cannot_use_is_refused_with_the_reason(
    client: httpx.AsyncClient, model: str
) -> None:
    problem = await refused(client, sampler="pndm")
    assert (problem["code"], problem["field"]) == ("unsupported_sampler", "sampler")
    assert "diffusers cannot do it" in problem["detail"]
    assert "euler" in problem["allowed"]
    assert "pndm" not in problem["allowed"]


async def test_steps_beyond_the_samplers_are_refused(client: httpx.AsyncClient, model: str) -> None:
    problem = await refused(client, sampler="lcm", steps=51)
    assert (problem["code"], problem["field"]) == ("unsupported_steps", "steps")
    assert "50" in problem["detail"]


@pytest.mark.parametrize(
    ("field", "side"), [("width", 72), ("width", 144), ("height", 16), ("height", 8192)]
)
async def test_size_that_the_model_cannot_draw_is_refused_with_what_it_can(
    client: httpx.AsyncClient, model: str, field: str, side: int
) -> None:
    problem = await refused(client, **{field: side})
    assert (problem["code"], problem["field"]) == ("unsupported_size", field)
    assert all(word in problem["detail"] for word in ("16", "32", "128"))


async def test_a_size_is_fitted_to_the_model_where_that_is_asked_for(
    client: httpx.AsyncClient, model: str
) -> None:
    fields = {"prompt": "a", "width": 512, "height": 256, "size_policy": "fit"}
    job = (await client.post("/generate", json=fields)).json()
    request = job["request"]
    assert (request["width"], request["height"]) == (128, 64)
    assert (request["resized_width"], request["resized_height"]) == (512, 256)
    (warning,) = job["warnings"]
    assert "512x256" in warning
    assert "128x64" in warning


async def test_pictures_are_silent_where_a_setting_or_the_request_says_so(
    settings: AppSettings, model: str
) -> None:
    async with serving(settings.model_copy(update={"metadata": False})) as client:
        asked = [{}, {"metadata": True}, {"metadata": False}]
        answers = [await client.post("/generate", json={"prompt": "a"} | each) for each in asked]
    told = [answer.json()["request"]["metadata"] for answer in answers]
    assert told == [False, True, False]


async def test_without_a_model_ever_announced_it_is_503(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate", json={"prompt": "a"})
    assert (response.status_code, response.json()["code"]) == (503, "no_model")
    assert int(response.headers["retry-after"]) > 0


async def test_a_model_is_taken_as_soon_as_it_is_announced(
    client: httpx.AsyncClient, connection: Redis
) -> None:
    await client.post("/generate", json={"prompt": "a"})
    announce(connection, worker_card(), model_card())
    response = await client.post("/generate", json={"prompt": "a"})
    assert response.status_code == 202


async def test_without_a_live_worker_a_known_model_queues(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    withdraw(connection, worker_card())
    response = await client.post("/generate", json={"prompt": "a"})
    assert response.status_code == 202


async def test_of_several_models_one_must_be_named(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    announce(connection, worker_card("gpu-2", "large"), model_card("large"))
    problem = await refused(client)
    assert (problem["field"], problem["allowed"]) == ("model", ["large", "tiny"])
    response = await client.post("/generate", json={"prompt": "a", "model": "large"})
    assert response.json()["model"] == "large"


async def test_of_several_models_the_only_live_one_is_the_default(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    gone = worker_card("gpu-2", "large")
    announce(connection, gone, model_card("large"))
    withdraw(connection, gone)
    response = await client.post("/generate", json={"prompt": "a"})
    assert response.json()["model"] == "tiny"


async def test_the_default_model_is_a_setting(
    settings: AppSettings, connection: Redis, model: str
) -> None:
    preferred = settings.model_copy(update={"default_model": "large"})
    async with serving(preferred) as client:
        early = await client.post("/generate", json={"prompt": "a"})
    announce(connection, worker_card("gpu-2", "large"), model_card("large"))
    async with serving(preferred) as client:
        late = await client.post("/generate", json={"prompt": "a"})
    assert early.json()["code"] == "no_model"
    assert late.json()["model"] == "large"


async def test_a_full_queue_is_503(settings: AppSettings, model: str) -> None:
    async with serving(settings.model_copy(update={"max_queue": 2})) as client:
        answers = [await client.post("/generate", json={"prompt": "a"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert answers[2].json()["code"] == "queue_full"
    assert int(answers[2].headers["retry-after"]) > 0


async def test_the_seconds_of_work_that_wait_are_bounded(
    settings: AppSettings, connection: Redis
) -> None:
    announce(connection, worker_card(row_steps_per_s=20.0), model_card())
    announce(connection, worker_card("gpu-2", row_steps_per_s=10.0), model_card())
    async with serving(settings.model_copy(update={"max_queue_s": 5.0})) as client:
        answers = [await client.post("/generate", json={"prompt": "a"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert [answer.json()["estimated_s"] for answer in answers[:3]] == [2.0, 4.0, 6.0]
    assert answers[3].json()["code"] == "too_much_waiting"
    assert answers[3].headers["retry-after"] == "1"


async def test_without_a_speed_known_there_is_no_estimate_and_no_bound_of_it(
    settings: AppSettings, model: str
) -> None:
    async with serving(settings.model_copy(update={"max_queue_s": 0.1})) as client:
        answers = [await client.post("/generate", json={"prompt": "a"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["estimated_s"] for answer in answers] == [None, None]


async def test_a_worker_without_a_speed_of_its_own_counts_as_the_others(
    client: httpx.AsyncClient, connection: Redis
) -> None:
    announce(connection, worker_card(row_steps_per_s=30.0), model_card())
    announce(connection, worker_card("gpu-2"), model_card())
    announce(connection, worker_card("gpu-3", "large", row_steps_per_s=1000.0), model_card("large"))
    accepted = await client.post("/generate", json={"prompt": "a", "model": "tiny"})
    assert accepted.json()["estimated_s"] == 1.0
    polled = await client.get(accepted.headers["location"])
    assert polled.json() == accepted.json()


async def test_a_job_is_estimated_by_the_width_that_it_comes_into(
    client: httpx.AsyncClient, connection: Redis
) -> None:
    pace = Pace(step_s=0.02, row_s=0.005, aside_s=0.1)
    announce(connection, worker_card(pace=pace, row_steps_per_s=1.0), model_card())
    alone = await client.post("/generate", json={"prompt": "a"})
    assert alone.json()["estimated_s"] == 1.0  # 30 steps of 0.03 s, and what follows
    large = await client.post("/generate", json={"prompt": "a", "width": 128, "height": 128})
    assert large.json()["estimated_s"] > 30 * (0.02 + 8 * 0.005)


async def test_what_workers_took_since_they_told_of_themselves_counts_at_once(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    pace = Pace(step_s=0.02, row_s=0.005, aside_s=0.1)
    announce(connection, worker_card(WORKER, pace=pace), model_card())
    await client.post("/generate", json={"prompt": "a", "images": 4})
    assert take(jobs, WORKER) is not None
    beside = await client.post("/generate", json={"prompt": "a"})
    assert beside.json()["estimated_s"] > 1.5  # alone it would be 1
    polled = await client.get(beside.headers["location"])
    assert polled.json() == beside.json()


async def test_a_job_that_has_just_begun_has_no_estimate(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    announce(connection, worker_card(row_steps_per_s=30.0), model_card())
    accepted = await client.post("/generate", json={"prompt": "a"})
    assert take(jobs, "gpu-1") is not None
    assert (await client.get(accepted.headers["location"])).json()["estimated_s"] is None


async def test_a_job_carries_the_time_until_which_it_may_wait(
    settings: AppSettings, jobs: Queue
) -> None:
    async with serving(settings.model_copy(update={"queue_ttl_s": 60})) as client:
        job_id = (await client.post("/generate", json={"prompt": "a"})).json()["id"]
    held = take(jobs, "gpu-1")
    accepted_at = created_at(job_id)
    assert held is not None
    assert accepted_at is not None
    assert held.job.kwargs["deadline"] == accepted_at + 60
    assert held.job.ttl is None


async def test_a_job_knows_when_its_request_came(client: httpx.AsyncClient, jobs: Queue) -> None:
    """With tags as well, of which RQ writes the record."""
    for aside in ({}, {"tags": {"order": "7"}}):
        before = time.time()
        accepted = await client.post("/generate", json={"prompt": "a"} | aside)
        held = take(jobs, "gpu-1")
        assert held is not None
        assert before <= held.job.kwargs["received"] <= (created_at(held.job_id) or 0.0)
        assert held.job_id == accepted.json()["id"]
