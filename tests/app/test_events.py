"""The events of a job over HTTP; what is followed live comes from a real server."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import httpx
import pytest
from anyio import to_thread
from redis import Redis
from rq import Queue

from app import newsroom
from app.main import ApiServer
from app.routes import events as events_route
from contract.claims import requeue
from contract.endings import cancel, commit
from contract.events import events_key
from contract.identity import new_job_id
from contract.previews import MOST_BYTES, JobPreview, write_preview
from contract.progress import JobProgress, write_progress
from contract.transactions import Claim
from contract.workers import announce
from tests.app.conftest import WORKER, develop
from tests.app.sse import Sent, all_events, events_in
from tests.contract.records import rq_job, taken
from tests.contract.samples import job_result, model_card, worker_card
from tests.waiting import until

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0
LONG = "9" * 5000 + "-0"  # more digits than Python takes for a number


@pytest.fixture
async def browser(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server, with as many connections as it likes."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S, limits=limits) as client:
        yield client


async def accepted(client: httpx.AsyncClient, **fields: object) -> str:
    response = await client.post("/generate", json={"prompt": "a red circle"} | fields)
    assert response.status_code == 202
    return str(response.json()["id"])


def step(held: Claim, number: int) -> None:
    told = JobProgress(number / 30, number, left_s=30.0 - number)
    write_progress(held.queue.connection, {(held.job_id, held.execution.id): told})


def show(held: Claim, index: int, content: bytes = b"webp") -> None:
    preview = JobPreview(0, index, 15, 64, 32, content)
    write_preview(held.queue.connection, held.job_id, held.execution.id, preview)


def live(jobs: Queue) -> None:
    """All that can happen to a job."""
    requeue([taken(jobs)])
    held = taken(jobs)
    step(held, 7)
    show(held, 0)
    step(held, 20)
    commit(held, job_result("a"))


async def test_a_job_tells_what_happens_to_it_until_its_end(
    browser: httpx.AsyncClient, jobs: Queue
) -> None:
    job_id = await accepted(browser, previews=1)
    path = (await browser.get(f"/jobs/{job_id}")).json()["links"]["events"]
    seen: list[Sent] = []
    async with browser.stream("GET", path) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        stream = events_in(response)

        async def next_of(name: str) -> Sent:
            seen.append(await anext(stream))
            assert seen[-1].name == name
            return seen[-1]

        queued = await next_of("queued")
        assert queued.data == {"queue_position": 1, "estimated_s": None}
        held = taken(jobs)
        assert (await next_of("started")).data == {"worker": WORKER, "attempt": 1}
        step(held, 7)
        told = await next_of("progress")
        assert told.data == {"step": 7, "steps": 30, "estimated_s": 23.0}
        show(held, 0)
        preview = (await next_of("preview")).data
        assert base64.b64decode(preview.pop("data")) == b"webp"
        assert preview == {
            "image": 0,
            "index": 0,
            "step": 15,
            "steps": 30,
            "width": 64,
            "height": 32,
            "media_type": "image/webp",
        }
        requeue([held])
        assert (await next_of("requeued")).data == {"reason": "handed back"}
        held = taken(jobs)
        assert (await next_of("started")).data["attempt"] == 2
        commit(held, job_result("a"))
        end = await next_of("end")
        assert end.data == (await browser.get(f"/jobs/{job_id}")).json()
        assert [sent async for sent in stream] == []
    ids = [sent.id for sent in seen]
    assert len(set(ids)) == len(ids)


async def test_who_comes_back_gets_each_event_once(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id = await accepted(client)
    live(jobs)
    whole = await all_events(client, job_id)
    names = "queued started requeued started progress preview progress end"
    assert [sent.name for sent in whole] == names.split()
    for n, sent in enumerate(whole[:-1]):
        assert await all_events(client, job_id, sent.id) == whole[n + 1 :]
    headers = {"Last-Event-ID": str(whole[-1].id)}
    response = await client.get(f"/jobs/{job_id}/events", headers=headers)
    assert (response.status_code, response.content) == (204, b"")


async def test_nothing_is_lost_or_doubled_by_a_reader_that_is_cut_off_all_the_time(
    browser: httpx.AsyncClient, jobs: Queue
) -> None:
    job_id = await accepted(browser, steps=150)
    seen: list[Sent] = []

    def work() -> None:
        held = taken(jobs)
        for number in range(1, 151):
            step(held, number)
        commit(held, job_result("a"))

    async with anyio.create_task_group() as group:
        group.start_soon(to_thread.run_sync, work)
        while not seen or seen[-1].name != "end":
            headers = {"Last-Event-ID": str(seen[-1].id)} if seen else {}
            path = f"/jobs/{job_id}/events"
            async with browser.stream("GET", path, headers=headers) as response:
                stream = events_in(response)
                for _ in range(5):
                    seen += [sent async for sent in _first(stream) if sent.id is not None]
    assert [sent.name for sent in seen if sent.name != "progress"] == ["queued", "started", "end"]
    steps = [sent.data["step"] for sent in seen if sent.name == "progress"]
    assert steps == list(range(1, 151))


async def _first(stream: AsyncIterator[Sent]) -> AsyncIterator[Sent]:
    async for sent in stream:
        yield sent
        return


@pytest.mark.parametrize(
    "last_id", ["0-1", "99999999999999-0", "yesterday", "1-1-1", "²-0", "9" * 5000 + "-0", ""]
)
async def test_who_was_at_a_place_that_is_none_gets_the_job_as_it_is(
    client: httpx.AsyncClient, jobs: Queue, last_id: str
) -> None:
    job_id = await accepted(client)
    live(jobs)
    snapshot, end = await all_events(client, job_id, last_id)
    assert (snapshot.name, end.name) == ("snapshot", "end")
    assert snapshot.data == end.data == (await client.get(f"/jobs/{job_id}")).json()
    assert await all_events(client, job_id, snapshot.id) == [end]


async def test_a_history_that_was_trimmed_begins_with_the_job_as_it_is(
    browser: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = await accepted(browser)
    held = taken(jobs)
    connection.xtrim(events_key(job_id), maxlen=0, approximate=False)
    async with browser.stream("GET", f"/jobs/{job_id}/events") as response:
        stream = events_in(response)
        snapshot = await anext(stream)
        assert (snapshot.name, snapshot.data["state"]) == ("snapshot", "running")
        step(held, 7)
        assert (await anext(stream)).data["step"] == 7


async def test_a_place_in_the_queue_is_told_whenever_it_changes(
    browser: httpx.AsyncClient, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newsroom, "LOOK_AGAIN_S", 0.02)
    announce(connection, worker_card(row_steps_per_s=60.0), model_card())
    ids = [await accepted(browser) for _ in range(3)]
    async with browser.stream("GET", f"/jobs/{ids[2]}/events") as response:
        stream = events_in(response)
        first = await anext(stream)
        assert first.data == {"queue_position": 3, "estimated_s": 3.0}
        assert first.id is not None
        for position in (2, 1):
            cancel(connection, ids[2 - position])
            assert await anext(stream) == Sent(
                "queued", {"queue_position": position, "estimated_s": float(position)}
            )


async def test_an_end_that_nobody_told_of_is_found(
    browser: httpx.AsyncClient, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newsroom, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(newsroom, "QUIET_S", 0.05)
    cancelled, deleted = await accepted(browser), await accepted(browser)
    async with (
        browser.stream("GET", f"/jobs/{cancelled}/events") as first,
        browser.stream("GET", f"/jobs/{deleted}/events") as second,
    ):
        rq_job(connection, cancelled).cancel()
        rq_job(connection, deleted).delete()
        seen = [sent async for sent in events_in(first)]
        assert (seen[-1].name, seen[-1].data["state"]) == ("end", "cancelled")
        assert [sent.name async for sent in events_in(second)] == ["queued"]  # and it closes
    assert await all_events(browser, cancelled, seen[-2].id) == seen[-1:]


async def test_comments_keep_the_connection_alive(
    browser: httpx.AsyncClient, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_route, "HEARTBEAT_S", 0.02)
    job_id = await accepted(browser)
    async with browser.stream("GET", f"/jobs/{job_id}/events") as response:
        stream = events_in(response)
        assert (await anext(stream)).name == "queued"
        for _ in range(3):
            assert await anext(stream) == Sent("comment", "heartbeat")


@pytest.mark.parametrize(
    ("job_id", "status", "code"),
    [
        pytest.param(new_job_id(), 404, "job_not_found", id="of now"),
        ("00000000-88bd-7a27-b2ae-4323d6ddb518", 410, "job_expired"),
        ("1", 404, "job_not_found"),
    ],
)
async def test_a_job_that_is_not_there_has_no_events(
    client: httpx.AsyncClient, model: str, job_id: str, status: int, code: str
) -> None:
    response = await client.get(f"/jobs/{job_id}/events")
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_two_hundred_readers_cost_one_connection(
    browser: httpx.AsyncClient, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From its next look on: a place that changes while jobs are taken would be one event more.
    monkeypatch.setattr(newsroom, "LOOK_AGAIN_S", 3600.0)

    def connections(kind: str) -> int:
        return len(connection.client_list(_type=kind))

    ids = [await accepted(browser) for _ in range(20)]
    async with AsyncExitStack() as stack:

        async def follow(job_id: str) -> AsyncIterator[Sent]:
            stream = browser.stream("GET", f"/jobs/{job_id}/events")
            events = events_in(await stack.enter_async_context(stream))
            assert (await anext(events)).name == "queued"
            return events

        first = await follow(ids[0])
        listening, asking = connections("pubsub"), connections("normal")
        readers = [await follow(ids[n % 20]) for n in range(199)]
        assert connections("pubsub") == listening
        assert connections("normal") <= asking + 1  # two of those that ask may meet
        while develop(jobs) is not None:
            pass
        for reader in (first, *readers):
            names = [sent.name async for sent in reader]
            assert names[-2:] == ["started", "end"]
            assert set(names[:-2]) <= {"queued"}  # a look that had begun before


async def test_a_slow_reader_holds_up_nobody_and_loses_nothing(
    browser: httpx.AsyncClient, jobs: Queue
) -> None:
    job_id = await accepted(browser, previews=10)
    path = f"/jobs/{job_id}/events"
    async with browser.stream("GET", path) as slow, browser.stream("GET", path) as quick:
        readers = [events_in(stream) for stream in (slow, quick)]
        assert [(await anext(reader)).name for reader in readers] == ["queued", "queued"]
        held = taken(jobs)
        for n in range(100):  # more than all buffers on the way hold
            await to_thread.run_sync(show, held, n, bytes(MOST_BYTES))
        commit(held, job_result("a"))
        seen = [sent async for sent in readers[1]]
        assert len(seen) == 102
        assert [sent async for sent in readers[0]] == seen


async def test_whoever_leaves_is_forgotten(
    browser: httpx.AsyncClient, server: ApiServer, model: str
) -> None:
    job_id = await accepted(browser)
    topics = server._newsroom._topics
    async with browser.stream("GET", f"/jobs/{job_id}/events") as response:
        assert (await anext(events_in(response))).name == "queued"
        assert list(topics) == [job_id]
    await to_thread.run_sync(until, lambda: not topics, LIMIT_S)


async def test_a_server_that_stops_lets_its_readers_go(
    browser: httpx.AsyncClient, server: ApiServer, model: str
) -> None:
    job_id = await accepted(browser)
    async with browser.stream("GET", f"/jobs/{job_id}/events") as response:
        stream = events_in(response)
        assert (await anext(stream)).name == "queued"
        server.should_exit = True
        assert [sent async for sent in stream] == []  # no error: it is whole
