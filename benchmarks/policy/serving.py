"""Three ways to serve requests for pictures on one device, and their replay on a virtual clock."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policy.traffic import Group, Request
from policy.virtual_clock import VirtualClock
from worker.engine.device import finish
from worker.engine.engine import Engine
from worker.engine.picture import Picture
from worker.engine.sampler import SamplerTable

WINDOW_S = 0.05
"""How long the oldest request of a batch waits for company."""

Tables = Mapping[tuple[str, int], SamplerTable]
"""By sampler and steps."""

Pixels = NDArray[np.uint8]  # [height, width, 3]
Batch = Sequence[Request]


class Pipeline(Protocol):
    """Develops requests of one group together, from their texts to their pixels."""

    def develop(self, requests: Sequence[Request]) -> Sequence[Pixels]:
        """Takes as long on the clock as it takes the device."""


class Server(Protocol):
    clock: VirtualClock
    calls: int  # of the U-Net
    rows: int  # of all of them together

    def take(self, request: Request) -> None:
        """It has arrived."""

    def work(self) -> Sequence[Request] | None:
        """The next thing that the device does, as the clock goes on; whose pictures came of it.
        None where it has nothing to do."""

    def wakes_at(self) -> float:
        """When there will be something to do even if nobody comes."""

    def settle(self) -> None:
        """Somebody else wants the device: what it was asked for and has not done comes first, and
        counts."""


class OneByOne:
    """A request at a time, first come, first served."""

    def __init__(self, clock: VirtualClock, pipeline: Pipeline):
        self.clock = clock
        self.calls = self.rows = 0
        self._pipeline = pipeline
        self._waiting: deque[Request] = deque()

    def take(self, request: Request) -> None:
        self._waiting.append(request)

    def work(self) -> Sequence[Request] | None:
        if not self._waiting:
            return None
        request = self._waiting.popleft()
        self._pipeline.develop([request])
        self.calls += request.steps
        self.rows += request.steps * request.rows
        return [request]

    def wakes_at(self) -> float:
        return math.inf

    def settle(self) -> None:
        return None


def oldest_first(batch: Batch) -> tuple[float, ...]:
    return (batch[0].arrives_at,)


def fullest_first(batch: Batch) -> tuple[float, ...]:
    """Of as full ones the oldest."""
    return -len(batch), batch[0].arrives_at


class RequestBatching:
    """Whole requests of one group are developed together. A batch starts when the device is free
    and the batch is full or its oldest has waited for the window."""

    def __init__(
        self,
        clock: VirtualClock,
        pipeline: Pipeline,
        most_rows: int,
        window_s: float = WINDOW_S,
        order: Callable[[Batch], tuple[float, ...]] = oldest_first,
    ):
        """
        Args:
            order: of several batches that may start, the least of it does.
        """
        self.clock = clock
        self.calls = self.rows = 0
        self.batches: list[list[Request]] = []
        self._pipeline = pipeline
        self._most_rows = most_rows
        self._window_s = window_s
        self._order = order
        self._waiting: dict[Group, deque[Request]] = {}

    def take(self, request: Request) -> None:
        self._waiting.setdefault(request.group, deque()).append(request)

    def work(self) -> Sequence[Request] | None:
        ready = [queue for queue in self._waiting.values() if self._ready_at(queue) <= self._now]
        if not ready:
            return None
        batch = min((list(islice(q, self._most(q[0]))) for q in ready), key=self._order)
        queue = self._waiting[batch[0].group]
        for _ in batch:
            queue.popleft()
        if not queue:
            del self._waiting[batch[0].group]
        self.batches.append(batch)
        self._pipeline.develop(batch)
        self.calls += batch[0].steps
        self.rows += batch[0].steps * sum(request.rows for request in batch)
        return batch

    def wakes_at(self) -> float:
        return min(map(self._ready_at, self._waiting.values()), default=math.inf)

    def settle(self) -> None:
        return None

    @property
    def _now(self) -> float:
        return self.clock.now

    def _most(self, request: Request) -> int:
        return max(1, self._most_rows // request.rows)

    def _ready_at(self, queue: deque[Request]) -> float:
        is_full = len(queue) >= self._most(queue[0])
        return -math.inf if is_full else queue[0].arrives_at + self._window_s


class StepLevel:
    """darkroom's engine: pictures join and leave between two steps, whatever their settings."""

    def __init__(
        self,
        clock: VirtualClock,
        engine: Engine,
        tables: Tables,
        stopwatch: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        """
        Args:
            stopwatch: what moves the clock while the engine works; none where its model does that.
        """
        self.clock = clock
        self.calls = self.rows = 0
        self.pixels: dict[int, Pixels] = {}
        """Of the last pictures, by the numbers of their requests."""
        self._engine = engine
        self._tables = tables
        self._stopwatch = stopwatch
        self._here: dict[int, Request] = {}

    def take(self, request: Request) -> None:
        self._here[request.number] = request
        self._engine.add(
            Picture(
                key=request.number,
                prompt=request.prompt,
                negative_prompt="",
                guidance=request.guidance,
                seed=request.seed,
                width=request.width,
                height=request.height,
                table=self._tables[request.sampler, request.steps],
            )
        )

    def work(self) -> Sequence[Request] | None:
        if self._engine.is_idle:
            return None
        with self._stopwatch():
            report = self._engine.step()
            if self._engine.is_idle:
                finish(self._engine.model.device)
        for spoiled in report.spoiled:
            raise spoiled.error
        self.calls += report.rows > 0
        self.rows += report.rows
        self.pixels = {int(str(each.key)): each.pixels for each in report.developed}
        return [self._here.pop(number) for number in self.pixels]

    def wakes_at(self) -> float:
        return math.inf

    def settle(self) -> None:
        with self._stopwatch():
            finish(self._engine.model.device)


@dataclass(frozen=True, slots=True)
class Served:
    request: Request
    ended_at: float  # on the clock

    @property
    def latency_s(self) -> float:
        """From the moment at which it was meant to come, however late that was noticed."""
        return self.ended_at - self.request.arrives_at


def replay(server: Server, requests: Sequence[Request]) -> Iterator[list[Served]]:
    """Serves requests that come when they come; after each thing that the device did, what came of
    it."""
    coming, open_requests = deque(requests), 0
    while coming or open_requests:
        while coming and coming[0].arrives_at <= server.clock.now:
            server.take(coming.popleft())
            open_requests += 1
        done = server.work()
        if done is None:
            next_arrival = coming[0].arrives_at if coming else math.inf
            server.clock.skip_to(min(next_arrival, server.wakes_at()))
            continue
        open_requests -= len(done)
        yield [Served(request, server.clock.now) for request in done]


def saturate(server: Server, requests: Iterator[Request], users: int) -> Iterator[list[Served]]:
    """As `replay`, but so many are always there: another comes whenever one is done. Ends when no
    more of `requests` come."""

    arriving: Sequence[Request] = list(islice(requests, users))
    wanted = users
    while len(arriving) == wanted:
        for request in arriving:
            server.take(replace(request, arrives_at=server.clock.now))
        while (done := server.work()) is None:
            server.clock.skip_to(server.wakes_at())
        yield [Served(request, server.clock.now) for request in done]
        wanted = len(done)
        arriving = list(islice(requests, wanted))


def in_turns(
    runs: Mapping[str, tuple[Server, Iterator[list[Served]]]],
) -> Iterator[tuple[str, list[Served]]]:
    """Works through all of them, next always the one whose clock is furthest behind, so that what
    else the machine does falls on all alike."""
    going, last = dict(runs), ""
    while going:
        name = min(going, key=lambda each: going[each][0].clock.now)
        if last not in ("", name):
            runs[last][0].settle()
        last = name
        done = next(going[name][1], None)
        if done is None:
            del going[name]
        else:
            yield name, done
