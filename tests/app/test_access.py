"""Who may ask, and that nobody sees what another asked for."""

import base64
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi.routing import iter_route_contexts
from redis import Redis
from rq import Queue
from rq.job import Job

from app import keyring
from app.compat.a1111 import routes as a1111
from app.main import ApiServer, create_app
from app.settings import AppSettings
from contract.claims import take
from contract.errors import BadSetting
from contract.identity import new_job_id
from contract.keys import KeyLimits, NewKey, add_key, revoke_key
from contract.settings import load_settings
from contract.transactions import OWNER_FIELD
from contract.turns import order_key
from darkroom.cli import main
from tests.app.conftest import PNG, WORKER, develop, serving
from tests.app.test_jobs import id_made_at
from tests.waiting import until

pytestmark = pytest.mark.anyio

HEALTH = {"/healthz", "/readyz", "/metrics"}
PAGE = {"/", "/assets/{version}/{name}"}
OPEN = HEALTH | PAGE | {"/openapi.json", "/docs", "/docs/{name}"}
SIGNED = "/v1/images/{job_id}/{n}"
"""Its signature stands for a key."""


def routes() -> list[tuple[str, str]]:
    """Every method and path of the app."""
    found = iter_route_contexts(create_app(AppSettings()).routes)
    return sorted((method, str(each.path)) for each in found for method in each.methods or ())


@pytest.fixture
def guarded(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> AppSettings:
    monkeypatch.setattr(keyring, "LEAST_AGE_S", 0.0)
    return settings.model_copy(update={"keys": "required"})


@pytest.fixture
async def client(guarded: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(guarded) as client:
        yield client


def key(connection: Redis, name: str = "team", **limits: object) -> NewKey:
    return add_key(connection, name, KeyLimits.model_validate(limits))


def bearer(made: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.text}"}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def post(client: httpx.AsyncClient, made: NewKey, **fields: object) -> httpx.Response:
    body = {"prompt": "a"} | fields
    return await client.post("/generate", json=body, headers=bearer(made))


def test_the_routes_are_found() -> None:
    of_jobs = {("GET", "/jobs/{job_id}"), ("GET", "/jobs/{job_id}/events")}
    assert {("POST", "/generate"), ("GET", "/jobs"), *of_jobs} <= set(routes())


@pytest.mark.parametrize(("method", "path"), routes())
async def test_every_route_wants_a_key_but_those_of_health_and_the_page(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    file = "start.js" if path.startswith("/docs") else "main.js"
    url = path.replace("{job_id}", new_job_id()).replace("{name}", file)
    url = url.replace("{n}", "0")
    answer = await client.request(method, url)
    if path in OPEN:
        assert answer.status_code == 200
        return
    if path == SIGNED:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "link_refused")
        return
    if path.startswith("/v1/"):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    else:
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        is_ours = not path.startswith(a1111.PREFIXES)
        media_type = f"application/{'problem+' if is_ours else ''}json"
        assert answer.headers["content-type"] == media_type
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_body_is_not_waited_for_without_a_key(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    with anyio.fail_after(10.0):
        answer = await client.post(
            "/generate", content=body(), headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 401


OF_A_JOB = [route for route in routes() if "{job_id}" in route[1] and route[1] != SIGNED]


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize(("method", "path"), OF_A_JOB)
async def test_anothers_job_is_as_good_as_none(
    client: httpx.AsyncClient,
    connection: Redis,
    jobs: Queue,
    method: str,
    path: str,
    is_finished: bool,
) -> None:
    owner, other = key(connection, "owner"), key(connection, "other")
    job_id, nothing = (await post(client, owner)).json()["id"], new_job_id()
    if is_finished:
        develop(jobs)
    before = connection.dump(Job.key_for(job_id))
    path = path.replace("{n}", "0")
    answers = [
        await client.request(method, path.replace("{job_id}", each), headers=bearer(other))
        for each in (job_id, nothing)
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
    assert answers[0].text.replace(job_id, nothing) == answers[1].text
    assert connection.dump(Job.key_for(job_id)) == before


async def test_the_owner_sees_its_job_its_pictures_and_what_happens_to_it(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    owner = key(connection)
    url = (await post(client, owner)).headers["location"]
    assert (await client.get(url, headers=bearer(owner))).json()["state"] == "queued"
    develop(jobs)
    picture = await client.get(f"{url}/images/0", headers=bearer(owner))
    assert picture.status_code == 200
    events = await client.get(f"{url}/events", headers=bearer(owner))
    assert (events.status_code, "event: end" in events.text) == (200, True)


async def test_a_list_of_jobs_is_the_callers_own(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    owner, other = key(connection, "owner"), key(connection, "other")
    job_id = (await post(client, owner)).json()["id"]
    answers = [await client.get("/jobs", headers=bearer(each)) for each in (owner, other)]
    assert [[job["id"] for job in answer.json()["jobs"]] for answer in answers] == [[job_id], []]


async def test_a_deleted_job_is_gone_for_its_owner_and_never_was_for_others(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    owner, other = key(connection, "owner"), key(connection, "other")
    url = (await post(client, owner)).headers["location"]
    develop(jobs)
    assert (await client.delete(url, headers=bearer(owner))).status_code == 204
    answers = [await client.get(url, headers=bearer(each)) for each in (owner, other)]
    codes = [answer.json()["code"] for answer in answers]
    assert codes == ["job_deleted", "job_not_found"]


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_is_finished_answers_others_only_where_a_setting_says_so(
    guarded: AppSettings, connection: Redis, jobs: Queue, is_shared: bool
) -> None:
    owner, other = key(connection, "owner"), key(connection, "other")
    settings = guarded.model_copy(update={"share_finished": is_shared})
    async with serving(settings) as client:
        await post(client, owner, seed=5)
        develop(jobs)
        answers = [await post(client, each, seed=5) for each in (owner, other)]
        job = answers[1].json()
        assert [answer.json()["cached"] for answer in answers] == [True, is_shared]
        polled = [
            await client.get(job["links"]["self"], headers=bearer(each)) for each in (other, owner)
        ]
        assert [answer.status_code for answer in polled] == [200, 404]


async def test_what_is_answered_at_once_is_counted_but_waits_for_nothing(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    made = key(connection, per_minute=3, queued=1)
    assert (await post(client, made, seed=5)).status_code == 202
    develop(jobs)
    assert (await post(client, made)).status_code == 202  # as many wait as may
    cached = await post(client, made, seed=5)
    assert cached.json()["cached"] is True
    assert cached.headers["ratelimit"].startswith('"requests";r=0;')
    limited = await post(client, made, seed=5)
    assert (limited.status_code, limited.json()["code"]) == (429, "rate_limited")
    assert limited.headers["ratelimit"].startswith('"requests";r=0;')
    (holders,) = connection.keys("darkroom:holders:*")
    assert connection.scard(holders) == 2
    listed = await client.get("/jobs", headers=bearer(made))
    assert len(listed.json()["jobs"]) == 3


async def test_a_retry_is_a_job_of_the_caller_and_held_to_its_limits(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    made = key(connection, queued=1)
    job = (await post(client, made)).json()
    develop(jobs)
    retry, new = job["links"]["retry"], {"seed": "new"}
    again = await client.post(retry, headers=bearer(made), json=new)
    assert again.status_code == 202
    assert connection.hget(Job.key_for(again.json()["id"]), OWNER_FIELD) == made.key.id.encode()
    refused = await client.post(retry, headers=bearer(made), json=new)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_queued")
    assert jobs.count == connection.zcard(order_key(jobs.name)) == 1


async def test_a_record_of_anothers_that_cannot_be_read_or_is_old_tells_nothing(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    owner, other = key(connection, "owner"), key(connection, "other")
    job_id = (await post(client, owner)).json()["id"]
    connection.hset(Job.key_for(job_id), "created_at", "yesterday")
    assert (await client.get(f"/jobs/{job_id}", headers=bearer(other))).status_code == 404
    old = id_made_at(1_000_000_000.0)
    connection.copy(Job.key_for(job_id), Job.key_for(old))
    assert (await client.get(f"/jobs/{old}", headers=bearer(other))).status_code == 410


async def test_a_job_from_before_there_were_keys_belongs_to_nobody_with_one(
    settings: AppSettings, client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    made = key(connection)
    async with serving(settings) as without:
        free = (await without.post("/generate", json={"prompt": "a"})).headers["location"]
        owned = (await post(client, made)).headers["location"]
        assert (await client.get(free, headers=bearer(made))).status_code == 404
        assert (await without.get(owned)).status_code == 404
        assert (await without.get(free)).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        "Bearer {key}",
        "bearer   {key}",
        lambda text: basic("anybody", text),
        lambda text: basic(text, ""),
        lambda text: basic(text, "x"),
    ],
)
async def test_a_key_comes_as_bearer_or_by_basic(
    client: httpx.AsyncClient, connection: Redis, model: str, form: object
) -> None:
    text = key(connection).text
    value = form(text) if callable(form) else str(form).format(key=text)
    answer = await client.get("/models", headers={"Authorization": value})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "Basic", "Basic ", "Basic Og==", "Basic !", "Basic /w=="),
        *("Digest x", "Bearer dk_000000000000_x", basic("dk_a_b", "dk_c_d")),
    ],
)
@pytest.mark.parametrize("keys", ["required", "off"])
async def test_what_is_no_key_is_refused_where_keys_are_needed_and_else_ignored(
    guarded: AppSettings, model: str, keys: str, value: str
) -> None:
    async with serving(guarded.model_copy(update={"keys": keys})) as client:
        answer = await client.get("/models", headers={"Authorization": value})
    assert answer.status_code == (401 if keys == "required" else 200)


async def test_a_key_works_at_once_and_no_longer_once_it_is_revoked(
    client: httpx.AsyncClient,
    connection: Redis,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = key(connection, "first")
    assert (await client.get("/models", headers=bearer(first))).status_code == 200
    second = key(connection, "second")
    assert (await client.get("/models", headers=bearer(second))).status_code == 200
    revoke_key(connection, "first")
    assert keyring.MAX_AGE_S <= 5
    monkeypatch.setattr(keyring, "MAX_AGE_S", 0.0)  # as if that time had passed
    assert (await client.get("/models", headers=bearer(first))).status_code == 401
    assert (await client.get("/models", headers=bearer(second))).status_code == 200


async def test_strangers_do_not_make_the_api_ask_redis_each_time(
    client: httpx.AsyncClient, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "LEAST_AGE_S", 60.0)
    for _ in range(5):
        await client.get("/models", headers={"Authorization": "Bearer dk_000000000000_x"})
    calls = connection.info("commandstats")["cmdstat_hgetall"]["calls"]
    await client.get("/models", headers={"Authorization": "Bearer dk_000000000001_x"})
    assert connection.info("commandstats")["cmdstat_hgetall"]["calls"] == calls


async def test_a_key_is_never_logged(
    client: httpx.AsyncClient,
    connection: Redis,
    jobs: Queue,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    made = key(connection)
    job_id = (await post(client, made)).json()["id"]
    connection.hset(Job.key_for(job_id), "created_at", "yesterday")  # makes an error of it
    for header in (bearer(made), {"Authorization": basic("a", made.text)}):
        assert (await client.get(f"/jobs/{job_id}", headers=header)).status_code == 500
    connection.set("darkroom:models", "not a hash")
    assert (await client.get("/models", headers=bearer(made))).status_code == 500
    assert caplog.records
    secret = made.text.rpartition(f"{made.key.id}_")[2]
    assert secret not in caplog.text
    assert secret not in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("field", "value", "limits"),
    [
        ("width", 128, {"max_side": 96}),
        ("height", 128, {"max_side": 96}),
        ("steps", 21, {"max_steps": 20}),
        ("priority", "high", {}),
        ("priority", "normal", {"priority": "low"}),
    ],
)
async def test_what_a_key_may_not_ask_for_is_403_and_names_the_field(
    client: httpx.AsyncClient,
    connection: Redis,
    jobs: Queue,
    field: str,
    value: object,
    limits: dict[str, object],
) -> None:
    asked = {"steps": 20} | {field: value}
    answer = await post(client, key(connection, **limits), **asked)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (403, "beyond_key", field)
    assert jobs.count == 0


async def test_what_a_key_just_may_is_accepted(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    made = key(connection, max_side=128, max_steps=20, priority="high")
    answer = await post(client, made, width=128, height=128, steps=20, priority="high")
    assert answer.status_code == 202


async def test_a_plain_request_does_for_any_key_and_says_what_is_less(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    made = key(connection, max_side=48, max_steps=20, priority="low")
    body, headers = {"prompt": "a"}, bearer(made) | {"Idempotency-Key": "one"}
    answer = await client.post("/generate", json=body, headers=headers)
    request = answer.json()["request"]
    assert (answer.status_code, request["steps"], request["priority"]) == (202, 20, "low")
    assert (request["width"], request["height"]) == (48, 48)
    assert len(answer.json()["warnings"]) == 3
    again = await client.post("/generate", json=body, headers=headers)
    assert again.json()["id"] == answer.json()["id"]


async def test_limits_are_told_and_held(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    made = key(connection, per_minute=3, queued=2)
    answers = [await post(client, made) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].json()["code"] == "too_many_queued"
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[0].headers["ratelimit-policy"] == (
        '"requests";q=3;w=60, "queued";q=2;qu="concurrent-requests"'
    )
    assert [answer.headers["ratelimit"].split(",")[1].strip() for answer in answers] == [
        '"queued";r=1',
        '"queued";r=0',
        '"queued";r=0',
    ]
    assert take(jobs, WORKER) is not None
    assert (await post(client, made)).status_code == 202
    assert take(jobs, WORKER) is not None
    limited = await post(client, made)
    assert (limited.status_code, limited.json()["code"]) == (429, "rate_limited")
    assert limited.headers["ratelimit"].startswith('"requests";r=0;t=')
    wait_s = int(limited.headers["ratelimit"].split("t=")[1].split(",")[0])
    assert int(limited.headers["retry-after"]) >= wait_s > 0


async def test_without_limits_and_without_keys_nothing_is_told(
    settings: AppSettings, client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    assert "ratelimit" not in (await post(client, key(connection))).headers
    async with serving(settings) as without:
        answer = await without.post("/generate", json={"prompt": "a", "priority": "high"})
    assert answer.status_code == 202
    assert "ratelimit" not in answer.headers


async def test_idempotency_keys_are_each_callers_own(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    answers = []
    for name in ("one", "other"):
        headers = bearer(key(connection, name)) | {"Idempotency-Key": "same"}
        answers += [
            await client.post("/generate", json={"prompt": "a"}, headers=headers) for _ in range(2)
        ]
    ids = [answer.json()["id"] for answer in answers]
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert ids[0] != ids[2]


def test_the_api_page_speaks_of_keys_where_they_are_needed(guarded: AppSettings) -> None:
    document = create_app(guarded).openapi()
    assert document["paths"]["/generate"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    free = create_app(guarded.model_copy(update={"keys": "off"})).openapi()
    assert "security" not in free["paths"]["/generate"]["post"]


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(BadSetting, match="DARKROOM_KEYS"):
        load_settings(AppSettings, keys="maybe")


@pytest.fixture
def server(guarded: AppSettings) -> ApiServer:
    return ApiServer(create_app(guarded))


def test_the_command_asks_with_its_key(
    url: str,
    connection: Redis,
    jobs: Queue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "picture.png"
    command = ["generate", "a", "--url", url, "--output", str(output)]
    with pytest.raises(SystemExit):
        main(command)
    assert "not_authenticated" in capsys.readouterr().err
    with ThreadPoolExecutor(1) as worker:
        for n in range(2):
            made = worker.submit(until, lambda: develop(jobs))
            text = key(connection, f"team-{n}").text
            if n == 0:
                main([*command, "--key", text])
            else:
                monkeypatch.setenv("DARKROOM_KEY", text)
                main(command)
            assert made.result()
            assert output.read_bytes() == PNG
