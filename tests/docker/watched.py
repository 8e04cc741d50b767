"""A service that a real Prometheus watches, and what was asked of it meanwhile."""

import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract import queue
from contract.connections import connect
from contract.identity import new_job_id
from contract.keys import KeyLimits, add_key
from contract.request import JobRequest
from contract.workers import live_workers
from tests.address import free_port
from tests.prometheus import Prometheus, prometheus
from tests.service import process
from tests.waiting import job_in, until

ONLY_ON_A_GPU: dict[str, Set[str]] = {"darkroom_device_memory_bytes": {"kind"}}
ROUNDS = 2
"""A scrape before, between and after them: so Prometheus has seen every counter go up."""

_seeds = count()


@dataclass(frozen=True, slots=True)
class Watched:
    prometheus: Prometheus
    exposed: dict[str, Set[str]]  # the labels of each series, by its name


@contextmanager
def watched_service(redis_url: str, folder: Path) -> Iterator[Watched]:
    """An API that asks for keys, and the worker that lives at the Redis, after some requests."""
    port = free_port()
    environment = {"REDIS_URL": redis_url, "DARKROOM_KEYS": "required"}
    with connect(redis_url, timeout_s=3.0) as connection:
        (worker,) = until(lambda: live_workers(connection))
        ports = {"darkroom-api": port, "darkroom-worker": worker.metrics_port}
        targets = {job: [f"127.0.0.1:{at}"] for job, at in ports.items()}
        with (
            prometheus(targets, folder) as found,  # first, since it takes its time to find them
            process(["api", "--port", str(port)], environment),
            _client(port, add_key(connection, "team-a", KeyLimits()).text) as client,
        ):
            _await_scrape(found, len(targets))
            for _ in range(ROUNDS):
                _ask_well_and_badly(client)
                _fail(connection, worker.model)
                _await_scrape(found, len(targets))
            yield Watched(found, exposed_at(*ports.values()))


def exposed_at(*ports: int) -> dict[str, Set[str]]:
    """What the processes really show."""
    found = dict(ONLY_ON_A_GPU)
    for port in ports:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, set()) | sample.labels.keys()
    return found


def _client(port: int, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=30"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60.0)


def _await_scrape(watching: Prometheus, targets: int) -> None:
    """Until each target has been asked after now."""
    asked = f"count(timestamp(up) > {time.time()} and up == 1)"  # of a comparison it would be now
    until(lambda: [each for each in watching.ask(asked) if each.points[0][1] == targets])


def _ask_well_and_badly(client: httpx.Client) -> None:
    picture = {"prompt": "red apple", "steps": 4, "seed": next(_seeds)}
    for body in (picture, picture, {"prompt": "red apple", "steps": 4, "guidance": 1}):
        assert client.post("/generate", json=body).json()["state"] == "succeeded"
    assert client.post("/generate", json={"prompt": ""}).status_code == 422


def _fail(connection: Redis, model: str) -> None:
    """A job that the API would have refused."""
    fields = {"prompt": "a", "model": model, "seed": 1, "width": 128, "height": 128}
    request = JobRequest.model_validate(fields | {"sampler": "lcm", "steps": 99})
    job_id = new_job_id()
    queue.enqueue(queue.model_queue(connection, model), job_id, request, ttl_s=60)
    job_in(connection, job_id)
