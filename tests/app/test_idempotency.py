"""A request that is sent again is answered with the job that it made."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from app.settings import AppSettings
from contract.claims import take
from contract.endings import cancel, fail
from contract.errors import NotFinite
from contract.workers import MODELS_KEY
from tests.app.conftest import PNG, WORKER, develop, serving

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "8e03978e"}


async def post(
    client: httpx.AsyncClient, headers: dict[str, str] = KEY, **fields: object
) -> httpx.Response:
    return await client.post("/generate", json={"prompt": "a"} | fields, headers=headers)


def is_replay(response: httpx.Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


async def test_the_same_key_and_request_is_the_same_job(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    first, again = await post(client), await post(client, prompt=" a", steps=30)
    assert not is_replay(first)
    assert is_replay(again)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert jobs.count == 1
    metrics = (await client.get("/metrics")).text
    assert 'darkroom_jobs_accepted_total{model="tiny"} 1.0' in metrics


async def test_without_a_key_each_request_is_a_job(client: httpx.AsyncClient, jobs: Queue) -> None:
    for _ in range(2):
        assert not is_replay(await post(client, headers={}))
    assert jobs.count == 2


async def test_it_is_the_same_job_while_it_runs_and_when_it_has_ended(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    first = await post(client)
    assert take(jobs, WORKER) is not None
    running = await post(client)
    assert (running.status_code, running.json()["state"]) == (202, "running")
    cancel(jobs.connection, first.json()["id"])
    ended = await post(client)
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert ended.json()["id"] == first.json()["id"]
    assert is_replay(ended)


async def test_it_works_with_waiting_and_with_pictures(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    first = await post(client)
    develop(jobs)
    waited = await post(client, headers=KEY | {"Prefer": "wait=5"})
    assert (waited.status_code, waited.json()["state"]) == (200, "succeeded")
    picture = await post(client, headers=KEY | {"Accept": "image/png"})
    assert picture.content == PNG
    assert is_replay(waited)
    assert is_replay(picture)
    assert picture.headers["location"] == first.headers["location"]


async def test_a_failure_is_replayed_as_well(client: httpx.AsyncClient, jobs: Queue) -> None:
    await post(client)
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, NotFinite("It became NaN."))
    response = await post(client, headers=KEY | {"Accept": "image/png"})
    assert (response.status_code, response.json()["code"]) == (500, "not_finite")
    assert is_replay(response)


async def test_another_request_under_the_key_is_422(client: httpx.AsyncClient, jobs: Queue) -> None:
    await post(client)
    response = await post(client, prompt="b")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "idempotency_key_reused")
    assert problem["field"] == "Idempotency-Key"
    assert jobs.count == 1


async def test_a_request_that_was_refused_leaves_its_key_free(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    assert (await post(client, sampler="pndm")).status_code == 422
    assert not is_replay(await post(client))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("abc", '"abc"'),
        ('"a\\"b\\\\c"', 'a"b\\c'),
        ("a b", '"a b"'),
        ("x" * 255, '"' + "x" * 255 + '"'),
        ("~", '"~"'),
    ],
)
async def test_a_key_is_the_same_bare_or_quoted(
    client: httpx.AsyncClient, jobs: Queue, first: str, again: str
) -> None:
    await post(client, headers={"Idempotency-Key": first})
    assert is_replay(await post(client, headers={"Idempotency-Key": again}))


@pytest.mark.parametrize(
    "key",
    [b"", b'""', b'"', b'"a', b'"a"b"', b'"a";x=1', b'"a\\b"', b"x" * 256, b"\xc3\xa9", b"a\tb"],
)
async def test_what_is_no_key_is_refused(
    client: httpx.AsyncClient, jobs: Queue, key: bytes
) -> None:
    headers = [(b"Idempotency-Key", key)]
    response = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["field"] == "Idempotency-Key"
    assert jobs.count == 0


async def test_two_keys_are_no_key(client: httpx.AsyncClient, model: str) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert (response.status_code, response.json()["field"]) == (422, "Idempotency-Key")


async def test_many_at_the_same_instant_are_one_job(client: httpx.AsyncClient, jobs: Queue) -> None:
    answers: list[httpx.Response] = []

    async def send() -> None:
        answers.append(await post(client))

    async with anyio.create_task_group() as group:
        for _ in range(24):
            group.start_soon(send)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [is_replay(answer) for answer in answers].count(False) == 1
    assert jobs.count == 1


async def test_a_key_outlives_the_api_its_model_and_room_in_the_queue(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    async with serving(settings) as client:
        first = await post(client)
    connection.delete(MODELS_KEY)
    async with serving(settings.model_copy(update={"max_queue": 1})) as client:
        again = await post(client)
    assert is_replay(again)
    assert again.json()["id"] == first.json()["id"]


async def test_a_full_redis_leaves_the_key_free(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    connection.config_set("maxmemory", 1)
    try:
        refused = await post(client)
    finally:
        connection.config_set("maxmemory", 0)
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
    accepted = await post(client)
    assert (accepted.status_code, is_replay(accepted)) == (202, False)


async def test_a_key_whose_job_is_no_longer_kept_is_410(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    first = await post(client)
    connection.delete(Job.key_for(first.json()["id"]))
    response = await post(client)
    assert (response.status_code, response.json()["code"]) == (410, "job_expired")


class LossyLine:
    """A line to Redis that breaks when the answer to the command that queues a job is on its way.
    `stays_down` keeps it so until `mend`."""

    def __init__(self, redis_url: str, stays_down: bool):
        parts = urlsplit(redis_url)
        self._target = (parts.hostname, parts.port)
        self._stays_down = stays_down
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._armed = True
        self._is_down = False
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def has_broken(self) -> bool:
        return not self._armed

    def mend(self) -> None:
        self._is_down = False

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """Asks and answers take turns, as a client without pipelining across answers has it; an ask
        may come in pieces."""
        with client, socket.create_connection(self._target) as server, suppress(OSError):
            while not self._is_down and (asked := client.recv(1 << 20)):
                server.sendall(asked)
                answer = server.recv(1 << 20)
                if self._armed and b"RPUSH" in asked:
                    self._armed, self._is_down = False, self._stays_down
                    return
                client.sendall(answer)


@pytest.fixture(params=[False, True], ids=["for a moment", "for longer"])
def line(request: pytest.FixtureRequest, redis_url: str, model: str) -> Iterator[LossyLine]:
    line = LossyLine(redis_url, request.param)
    yield line
    line.close()


async def test_a_lost_answer_of_redis_makes_neither_two_jobs_nor_none(
    settings: AppSettings, jobs: Queue, line: LossyLine
) -> None:
    async with serving(settings.model_copy(update={"redis_url": line.url})) as client:
        first = await post(client)
        assert line.has_broken
        assert first.status_code == (503 if line._stays_down else 202)
        assert jobs.count == 1
        line.mend()
        again = await until_answered(client)
    assert is_replay(again)
    assert [again.json()["id"]] == jobs.get_job_ids()
    assert first.status_code == 503 or first.json()["id"] == again.json()["id"]
    assert not is_replay(first)


async def until_answered(client: httpx.AsyncClient) -> httpx.Response:
    with anyio.fail_after(20):
        while (response := await post(client)).status_code == 503:
            pass
    return response
