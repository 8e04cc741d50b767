import base64
import socket
from typing import Any

import anyio
import httpx
import pytest
from redis import Redis
from rq import Queue

from app.main import ApiServer
from contract.claims import take
from contract.endings import cancel, fail
from contract.errors import NotFinite
from contract.infotext import infotext
from contract.job import JobState, read_job
from tests.app.compat.a1111.conftest import ask, info, on_desk, while_asking
from tests.app.conftest import PNG, WORKER, develop
from tests.contract.samples import FINGERPRINT
from tests.waiting import job_in, until

pytestmark = pytest.mark.anyio


async def test_the_reply_holds_the_pictures_and_how_they_were_made(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    answer = await ask(
        client,
        lambda: develop(jobs, PNG, b"another"),
        negative_prompt="blue",
        batch_size=2,
        seed=7,
        steps=12,
        cfg_scale=5,
        sampler_name="DPM++ 2M",
        width=64,
        height=96,
    )
    told = info(answer)
    assert answer.json()["images"] == [
        base64.b64encode(each).decode() for each in (PNG, b"another")
    ]
    assert answer.json()["parameters"]["prompt"] == "a red circle"
    record = read_job(connection, answer.headers["x-darkroom-job"])
    assert record is not None
    assert told["infotexts"] == [infotext(record.request, n, FINGERPRINT) for n in range(2)]
    assert told["all_prompts"] == ["a red circle"] * 2
    assert told["all_negative_prompts"] == ["blue"] * 2
    expected = {
        "seed": 7,
        "all_seeds": [7, 8],
        "steps": 12,
        "cfg_scale": 5,
        "sampler_name": "DPM++ 2M",
        "width": 64,
        "height": 96,
        "batch_size": 2,
        "index_of_first_image": 0,
        "sd_model_name": "tiny",
        "sd_model_hash": FINGERPRINT[:10],
        "extra_generation_params": {"Schedule type": "Karras"},
    }
    assert {name: told[name] for name in expected} == expected
    assert told["warnings"] == ["The prompt is longer than what the model reads."]
    assert (record.request.sampler, record.request.guidance) == ("dpmpp_2m_karras", 5.0)
    assert connection.keys("darkroom:desk:*") == []


async def test_batches_are_pictures_of_one_job(client: httpx.AsyncClient, jobs: Queue) -> None:
    answer = await ask(client, lambda: develop(jobs, *[PNG] * 6), batch_size=3, n_iter=2, seed=1)
    assert info(answer)["all_seeds"] == [1, 2, 3, 4, 5, 6]
    assert len(answer.json()["images"]) == 6


async def test_what_is_left_out_or_null_is_our_default(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    nulls = dict.fromkeys(
        (
            "seed",
            "steps",
            "sampler_name",
            "scheduler",
            "width",
            "styles",
            "override_settings",
            "eta",
        )
    )
    told = info(await ask(client, lambda: develop(jobs), **nulls))
    assert (told["steps"], told["cfg_scale"], told["sampler_name"]) == (30, 7.5, "DPM++ 2M")
    assert (told["width"], told["height"]) == (64, 64)
    assert 0 <= told["seed"] < 2**32


async def test_a_size_that_the_model_cannot_draw_is_resized_and_the_info_says_so(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    answer = await ask(client, lambda: develop(jobs), width=512, height=260)
    told = info(answer)
    assert (told["width"], told["height"]) == (512, 256)
    extras = told["extra_generation_params"]
    assert (extras["Size"], extras["Resized to"]) == ("128x64", "512x256")
    assert told["warnings"][0].startswith("Model tiny cannot draw 512x256")


async def test_no_pictures_are_sent_to_who_wants_none(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    answer = await ask(client, lambda: develop(jobs), send_images=False)
    assert answer.json()["images"] == []
    assert len(info(answer)["infotexts"]) == 1


async def test_an_equal_request_is_answered_from_what_is_finished(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    first = await ask(client, lambda: develop(jobs), seed=7)
    again = await client.post("/sdapi/v1/txt2img", json={"prompt": "a red circle", "seed": 7})
    assert again.json()["images"] == first.json()["images"]
    fresh = {"Cache-Control": "no-cache"}
    await ask(client, lambda: develop(jobs), seed=7, sent={"headers": fresh})


REFUSED: list[tuple[str, Any]] = [
    ("prompt", " "),
    ("prompt", "\0"),
    ("prompt", 7),
    ("prompt", "a" * 4001),
    ("negative_prompt", ["a"]),
    ("seed", -2),
    ("seed", 2**32),
    ("seed", "soon"),
    ("steps", 0),
    ("steps", 151),
    ("steps", 1.5),
    ("cfg_scale", 31),
    ("cfg_scale", "much"),
    ("width", 0),
    ("width", 4096),
    ("height", -512),
    ("height", 10**30),
    ("batch_size", 0),
    ("batch_size", 11),
    ("batch_size", 10**30),
    ("n_iter", 0),
    ("sampler_name", "DPM adaptive"),
    ("sampler_name", "\0"),
    ("sampler_name", 3),
    ("sampler_index", "No such"),
    ("sampler_name", "PLMS"),
    ("scheduler", "Exponential"),
    ("scheduler", "sgm_uniform"),
    ("enable_hr", True),
    ("restore_faces", True),
    ("tiling", True),
    ("script_name", "X/Y/Z plot"),
    ("styles", ["Anime"]),
    ("styles", "Anime"),
    ("refiner_checkpoint", "other"),
    ("subseed_strength", 0.5),
    ("seed_resize_from_w", 64),
    ("s_churn", 1.0),
    ("s_noise", 0.5),
    ("eta", 0.5),
    ("force_task_id", "x" * 256),
    ("alwayson_scripts", {"ADetailer": {"args": [True, {"ad_model": "face_yolov8n.pt"}]}}),
    ("alwayson_scripts", {"ControlNet": {"args": [{"enabled": True}]}}),
    ("alwayson_scripts", [1]),
    ("CLIP_stop_at_last_layers", 2),
    ("sd_vae", "other.safetensors"),
    ("sd_model_checkpoint", "other"),
    ("sd_model_checkpoint", 7),
    ("no_such_option", 1),
]
OPTIONS = {"CLIP_stop_at_last_layers", "sd_vae", "sd_model_checkpoint", "no_such_option"}


async def test_what_cannot_be_done_is_refused_by_its_name(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    for field, value in REFUSED:
        given = {"override_settings": {field: value}} if field in OPTIONS else {field: value}
        answer = await client.post("/sdapi/v1/txt2img", json={"prompt": "a"} | given)
        error = answer.json()
        assert (answer.status_code, error.get("field", "").partition(".")[0]) == (422, field), value
        assert {"error", "detail", "body", "errors", "code"} <= error.keys()
        assert answer.headers["content-type"] == "application/json"
    assert jobs.count == 0


MALFORMED = [
    *(b"", b"no JSON", b"[]", b"7", b"null", b'{"prompt": "\\ud800"}'),
    b'{"prompt": "a", "cfg_scale": NaN}',
    b'{"prompt": "a", "seed": Infinity}',
    b'{"prompt": "a", "alwayson_scripts": {"\\ud800": {"args": [1]}}}',
    b'{"prompt": "a", "override_settings": {"\\ud800": 1}}',
    b'{"prompt": "a", "override_settings": {"sd_model_checkpoint": "\\ud800"}}',
]


async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, jobs: Queue) -> None:
    headers = {"Content-Type": "application/json"}
    for content in MALFORMED:
        answer = await client.post("/sdapi/v1/txt2img", content=content, headers=headers)
        assert (answer.status_code, bool(answer.json()["detail"])) == (422, True), content


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient, jobs: Queue) -> None:
    answer = await client.post("/sdapi/v1/txt2img", json={"prompt": "a", "url": "x" * 70_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


ACCEPTED: list[dict[str, Any]] = [
    {"enable_hr": False, "hr_scale": "what", "hr_upscaler": 7, "denoising_strength": 0.7},
    {"alwayson_scripts": {"ADetailer": {"args": [False]}, "ControlNet": {"args": []}}},
    {"alwayson_scripts": {"AnimateDiff": {"args": [{"enable": False}]}, "Tagger": {}}},
    {"subseed": 5, "seed_resize_from_h": -1, "seed_resize_from_w": -1, "eta": 0, "s_tmax": 0},
    {"override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "None"}},
    {"override_settings": {"sd_model_checkpoint": "tiny"}, "save_images": True},
    {"override_settings": {"sd_model_checkpoint": "tiny [0123456789]"}},
    {"url": "http://127.0.0.1:7860", "auth": "a:b", "anything": {"at": ["all"]}},
    {"sampler_index": "k_euler_a", "steps": "12"},
    {"sampler_name": "DPM++ 2M Karras", "scheduler": "Automatic"},
    {"scheduler": "karras"},
]


async def test_what_changes_nothing_is_accepted(client: httpx.AsyncClient, jobs: Queue) -> None:
    for fields in ACCEPTED:
        answer = await ask(client, lambda: develop(jobs), **fields)
        assert answer.status_code == 200, (fields, answer.text)
        assert "auth" not in answer.json()["parameters"]


async def test_a_failure_is_told_with_its_code(client: httpx.AsyncClient, jobs: Queue) -> None:
    def fail_next() -> bool:
        held = take(jobs, WORKER)
        if held is not None:
            fail(held, NotFinite("It became NaN."))
        return held is not None

    answer = await ask(client, fail_next)
    error = answer.json()
    assert (answer.status_code, error["code"]) == (500, "not_finite")
    assert (error["detail"], error["errors"]) == ("It became NaN.", "It became NaN.")
    assert answer.headers["x-darkroom-job"]


async def test_without_a_model_waiting_may_help(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sdapi/v1/txt2img", json={"prompt": "a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
    assert answer.headers["retry-after"]


async def test_a_job_that_is_cancelled_elsewhere_is_answered_without_pictures(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    async def cancel_it() -> None:
        (job_id,) = await on_desk(connection)
        await client.post(f"/jobs/{job_id}/cancel")

    answer = await while_asking(client, cancel_it, seed=3)
    assert answer.json()["images"] == []
    assert (info(answer)["all_seeds"], info(answer)["infotexts"]) == ([3], [])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _send(url: str, prompt: str, more: str = "") -> socket.socket:
    """A connection on which pictures were asked for, with more headers."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    body = f'{{"prompt": "{prompt}"}}'
    head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{more}"
    connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    return connection


@pytest.mark.parametrize("is_running", [False, True])
def test_a_client_that_hangs_up_cancels_its_job_and_no_other(
    url: str, connection: Redis, jobs: Queue, is_running: bool
) -> None:
    native = httpx.post(f"{url}/generate", json={"prompt": "a"}).json()["id"]
    with _send(url, "mine"):
        until(lambda: jobs.count == 2)
        mine = jobs.get_job_ids()[-1]
        held = [take(jobs, WORKER) for _ in range(2)] if is_running else []
        assert all(held)
    job_in(connection, mine, JobState.CANCELLED)
    record = read_job(connection, native)
    assert record is not None
    assert not record.state.is_final
    until(lambda: not connection.keys("darkroom:desk:*"))


def test_who_waits_when_the_server_stops_is_told_and_the_job_goes_on(
    server: ApiServer, url: str, connection: Redis, jobs: Queue
) -> None:
    with _send(url, "mine") as waiting:
        until(lambda: jobs.count == 1)
        server.should_exit = True
        waiting.settimeout(10)
        answer = b"".join(iter(lambda: waiting.recv(65536), b"")).decode()  # to the close
    assert answer.startswith("HTTP/1.1 503")
    assert "retry-after: 2" in answer.lower()
    (job_id,) = jobs.get_job_ids()
    assert job_id in answer
    cancel(connection, job_id)  # it had not ended


async def test_the_same_key_gets_the_same_job(client: httpx.AsyncClient, jobs: Queue) -> None:
    sent = {"headers": {"Idempotency-Key": "one"}}
    first = await ask(client, lambda: develop(jobs), sent)
    again = await client.post("/sdapi/v1/txt2img", json={"prompt": "a red circle"}, **sent)
    assert again.json()["images"] == first.json()["images"]
    assert again.headers["x-darkroom-job"] == first.headers["x-darkroom-job"]
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post("/sdapi/v1/txt2img", json={"prompt": "another"}, **sent)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_with_a_key_a_job_outlives_its_client(url: str, connection: Redis, jobs: Queue) -> None:
    key = "Idempotency-Key: one\r\n"
    with _send(url, "mine", key):
        until(lambda: jobs.count == 1)
        (job_id,) = jobs.get_job_ids()
    until(lambda: not connection.keys("darkroom:desk:*"))  # it has hung up
    assert develop(jobs) is not None
    body = {"prompt": "mine"}
    answer = httpx.post(f"{url}/sdapi/v1/txt2img", json=body, headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.headers["x-darkroom-job"]) == (200, job_id)


async def test_many_wait_at_once(client: httpx.AsyncClient, jobs: Queue) -> None:
    answers = []

    async def post(seed: int) -> None:
        answers.append(await client.post("/sdapi/v1/txt2img", json={"prompt": "a", "seed": seed}))

    async with anyio.create_task_group() as group:
        for seed in range(20):
            group.start_soon(post, seed)
        made = 0
        with anyio.fail_after(10):
            while made < 20:
                made += await anyio.to_thread.run_sync(lambda: develop(jobs) is not None)
    assert [answer.status_code for answer in answers] == [200] * 20
