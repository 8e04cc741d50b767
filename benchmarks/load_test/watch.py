"""What is seen beside the requests while they are made: the service's metrics, and how late this
program itself is."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import fmean

import httpx

from load_test.metrics import Reading, together
from load_test.run import Run
from load_test.service import Fault, Service

TICK_S = 0.02
EARLY_S, LATE_S = 0.25, 0.25
"""The first look is before the first request that counts, the last one when the workers have
counted what follows the end of a job too."""

QUEUE_DEPTH = "darkroom_queue_depth"
OLDEST_WAIT = "darkroom_queue_oldest_wait_seconds"
OCCUPANCY = "darkroom_batch_occupancy"


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment."""

    at: float  # seconds since the run's start
    under_way: int  # requests, as seen from here
    depth: float | None  # jobs that wait; None where the API did not tell
    oldest_s: float | None
    occupancy: float | None  # mean of the U-Net calls since the last sample; None where none was
    rows_per_s: float | None  # of U-Net calls since the last sample


def thinned(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """As many at most: of neighbours the highest queue, and the mean of what was done."""
    each = -(-len(samples) // most) or 1
    return [_as_one(samples[n : n + each]) for n in range(0, len(samples), each)]


def _as_one(group: Sequence[Sample]) -> Sample:
    def known(name: str) -> list[float]:
        values = (getattr(sample, name) for sample in group)
        return [value for value in values if value is not None]

    highest = (max(known(name), default=None) for name in ("depth", "oldest_s"))
    means = (fmean(known(name)) if known(name) else None for name in ("occupancy", "rows_per_s"))
    under_way = max(sample.under_way for sample in group)
    return Sample(group[-1].at, under_way, *highest, *means)


@dataclass(frozen=True, slots=True)
class Moment:
    """All metrics at once, of those who answered."""

    at: float
    api: Reading | None
    each_worker: Mapping[str, Reading]  # by address

    def worked_since(self, earlier: "Moment") -> Reading | None:
        """What those workers did who answered both times; None where there are none."""
        both = self.each_worker.keys() & earlier.each_worker.keys()
        done = [self.each_worker[url].since(earlier.each_worker[url]) for url in both]
        return together(done) if done else None


class Watch:
    """Looks every `each_s`, from the first request that counts to the end of the last."""

    def __init__(
        self, run: Run, service: Service, model: str, workers: Sequence[str], each_s: float
    ):
        self.samples: list[Sample] = []
        self.late_s: list[float] = []  # of this program's event loop, each TICK_S
        self.first: Moment | None = None
        self.last: Moment | None = None
        self.cpu_share = 0.0  # of a core, that this program took
        self._run, self._service, self._model = run, service, model
        self._urls, self._each_s = workers, each_s

    async def watch(self, after_s: float) -> None:
        """Until it is cancelled.

        Args:
            after_s: until the first look.
        """
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(Service(url)) for url in self._urls]
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick())
                group.create_task(self._look_on(after_s, workers))

    async def _look_on(self, after_s: float, workers: Sequence[Service]) -> None:
        await asyncio.sleep(max(0.0, after_s - EARLY_S))
        began, cpu_s = time.monotonic(), time.process_time()
        self.first = self.last = before = await self._look(workers)
        try:
            while True:
                await asyncio.sleep(self._each_s)
                now = await self._look(workers)
                self.samples.append(self._sample(before, now))
                self.last = before = now
        finally:
            self.cpu_share = (time.process_time() - cpu_s) / (time.monotonic() - began)

    async def finish(self) -> None:
        """A last look, at the end of the run."""
        await asyncio.sleep(LATE_S)
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(Service(url)) for url in self._urls]
            now = await self._look(workers)
        if self.last is not None:
            self.samples.append(self._sample(self.last, now))
            self.last = now

    async def _look(self, workers: Sequence[Service]) -> Moment:
        api, *others = await asyncio.gather(
            _read(self._service), *(_read(worker) for worker in workers)
        )
        told = zip(self._urls, others, strict=True)
        return Moment(self._run.now, api, {url: each for url, each in told if each is not None})

    def _sample(self, before: Moment, now: Moment) -> Sample:
        depth = oldest_s = occupancy = rows_per_s = None
        if now.api is not None and now.api.pick(QUEUE_DEPTH):
            depth = now.api.sum(QUEUE_DEPTH, model=self._model)
            oldest_s = max(now.api.pick(OLDEST_WAIT, model=self._model), default=0.0)
        done = now.worked_since(before)
        if done is not None:
            occupancy = done.mean(OCCUPANCY)
            rows_per_s = done.sum("darkroom_rows_total") / max(1e-9, now.at - before.at)
        return Sample(now.at, self._run.under_way, depth, oldest_s, occupancy, rows_per_s)

    async def _tick(self) -> None:
        while True:
            expected = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self.late_s.append(time.monotonic() - expected)


async def _read(service: Service) -> Reading | None:
    try:
        return Reading.parse(await service.text("/metrics"))
    except (Fault, ValueError):
        return None


async def workers_here(service: Service, url: str) -> list[str]:
    """Where the workers show their metrics, of those that run on this machine, if the service is
    asked on a loopback address: by what /readyz says. Others must be named, since no address is
    asked but those that were given."""
    address = httpx.URL(url)
    if not _is_loopback(address.host):
        return []
    try:
        cards: list[Mapping[str, object]] = (await service.told("/readyz"))["workers"]
    except (Fault, ValueError, KeyError):
        return []
    here = socket.gethostname()
    ports = sorted({card["metrics_port"] for card in cards if card["host"] == here})  # type: ignore[type-var]
    return [str(address.copy_with(scheme="http", port=port)) for port in ports if port]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
