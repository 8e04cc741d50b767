"""Two workers are replaced one after the other while callers ask: nobody notices."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import httpx
import pytest
from redis import Redis
from redis.client import PubSub
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import queue
from contract.events import ENDED_CHANNEL, RequeueReason, read_events
from contract.job import JobState
from contract.transactions import STRIKES_FIELD
from contract.workers import WorkerCard
from tests.faults.conftest import Start, ready
from tests.faults.fleet import rows_computed
from tests.faults.history import offences
from tests.faults.servers import ApiServer
from tests.waiting import LIMIT_S, until

CALLERS = 6
STEPS = 150
ROWS = 2  # of a picture, which is guided
PAUSE_S = 0.05
SELDOM = {"DARKROOM_CHECKPOINT_S": "600"}  # what a stop does not keep is lost for all to see


@dataclass(slots=True)
class Call:
    """One job as its caller sees it."""

    job_id: str
    state: JobState = JobState.QUEUED
    workers: set[str] = field(default_factory=set)  # by the names that they were started with
    steps: list[int] = field(default_factory=list)  # of its progress, each time it was looked at


class Callers:
    """Each has a job under way at all times, and looks at it until it has ended. Beside them
    somebody asks whether the service is ready."""

    def __init__(self, url: str):
        self._url = url
        self._stop, self._stop_asking = Event(), Event()
        self.calls: list[Call] = []
        self.readiness: list[tuple[int, int]] = []
        """Each answer of /readyz: its status and how many workers it names."""
        self._pool = ThreadPoolExecutor(CALLERS + 1)
        self._asking: Future[None] = self._pool.submit(self._ask)
        self._calling = [self._pool.submit(self._call, seed) for seed in range(CALLERS)]

    def finish(self) -> None:
        """Lets the jobs that are under way end, and raises what went wrong."""
        self._stop.set()
        for calling in self._calling:
            calling.result()
        self._stop_asking.set()
        self._asking.result()
        self._pool.shutdown()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=LIMIT_S) as client:
            while not self._stop_asking.wait(PAUSE_S):
                answer = client.get("/readyz")
                self.readiness.append((answer.status_code, len(answer.json().get("workers", []))))

    def _call(self, seed: int) -> None:
        pause = Event()
        body = {"prompt": "a red circle", "steps": STEPS, "sampler": "euler", "seed": seed}
        with httpx.Client(base_url=self._url, timeout=LIMIT_S) as client:
            while not self._stop.is_set():
                answer = client.post("/generate", json=body, headers={"Cache-Control": "no-cache"})
                call = Call(answer.raise_for_status().json()["id"])
                self.calls.append(call)
                while not self._look(client, call).is_final:
                    pause.wait(PAUSE_S)

    def _look(self, client: httpx.Client, call: Call) -> JobState:
        job = client.get(f"/jobs/{call.job_id}").raise_for_status().json()
        if job["worker"] is not None:
            call.workers.add(job["worker"].partition(".")[0])
        if job["progress"] is not None:
            call.steps.append(job["progress"]["step"])
        call.state = JobState(job["state"])
        return call.state


@pytest.fixture
def url(redis_url: str) -> Iterator[str]:
    """The address of an API in a process of its own."""
    api = ApiServer({"REDIS_URL": redis_url})
    yield api.url
    api.stop()


@pytest.fixture
def ends(connection: Redis) -> Iterator[PubSub]:
    with connection.pubsub() as news:
        news.subscribe(ENDED_CHANNEL)
        assert news.get_message(timeout=LIMIT_S) is not None
        yield news


def heard(news: PubSub) -> list[str]:
    """The jobs whose end was told, as often as it was."""
    messages = iter(lambda: news.get_message(timeout=0.0), None)
    return [message["data"].decode() for message in messages]


def is_at_work(callers: Callers, worker: WorkerCard) -> bool:
    """Whether some job of the worker is well begun and far from its end."""
    return any(
        worker.name in call.workers and call.steps and STEPS // 10 < call.steps[-1] < STEPS // 2
        for call in list(callers.calls)
    )


def test_two_workers_are_replaced_under_load_and_nobody_notices(
    start: Start, url: str, ends: PubSub, connection: Redis
) -> None:
    processes = {name: start(name, **SELDOM) for name in ("one", "two")}
    cards = {name: ready(connection, name) for name in processes}
    until(lambda: httpx.get(f"{url}/readyz").is_success)
    callers = Callers(url)
    rows = 0  # as of the moment of each signal
    for old, new in (("one", "three"), ("two", "four")):
        until(lambda old=old: is_at_work(callers, cards[old]))
        rows += rows_computed(cards[old])
        processes[old].send_signal(signal.SIGTERM)
        processes[new] = start(new, **SELDOM)
        assert processes[old].wait(LIMIT_S) == 0
        assert not any(
            connection.hget(Job.key_for(call.job_id), STRIKES_FIELD) for call in list(callers.calls)
        )
        cards[new] = ready(connection, new)
    callers.finish()

    calls = callers.calls
    assert {call.state for call in calls} == {JobState.SUCCEEDED}
    assert sorted(heard(ends)) == sorted(call.job_id for call in calls)
    for call in calls:
        assert connection.xlen(f"rq:results:{call.job_id}") == 1
        history = read_events(connection, call.job_id)
        assert offences(history) == []
        reasons = {event.fields.get("reason") for event in history}
        assert reasons <= {None, RequeueReason.HANDED_BACK}
        job = Job.fetch(call.job_id, connection, JSONSerializer)
        assert job.retries_left == queue.RESCUES
    assert {status for status, _ in callers.readiness} == {httpx.codes.OK}
    assert min(workers for _, workers in callers.readiness) > 0

    moved = [call for call in calls if len(call.workers) > 1]
    assert {"one", "two"} <= set().union(*(call.workers for call in moved))
    assert all(call.steps == sorted(call.steps) for call in calls)
    rows += sum(rows_computed(cards[new]) for new in ("three", "four"))
    assert rows <= len(calls) * STEPS * ROWS
