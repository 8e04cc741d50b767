"""Workers and their queue in virtual time, to judge a forecast in seconds instead of hours.

What matters for how long a job takes is here as worker/ has it: workers that ask for jobs between
two steps and let them join at the next, one U-Net call a step, row budgets, decoding in between,
cards that are a second old and a census that is another. All pictures have the native size.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from load_test.demand import Ask

from contract.backlog import Standing
from contract.forecast import Work
from contract.rows import rows_of
from contract.samplers import SAMPLERS
from contract.timeline import MOMENTS, Timeline
from contract.workers import WorkerCard
from simulated.step_times import StepTimes
from worker.engine.picture import StepReport
from worker.speed import Holding, Speed

NOWHERE = Standing(1, None)
BEAT_S = CENSUS_S = 1.0
CLAIM_S = 0.003  # until an idle worker has a job
STORE_S = 0.02  # from a picture's pixels to the end of its job
DENOISED = MOMENTS.index("denoised")


@dataclass(slots=True, eq=False)
class Job:
    ask: Ask
    accepted_at: float
    standing: Standing = NOWHERE
    cards: tuple[WorkerCard, ...] = ()  # as the API knew them when it was accepted
    ended_at: float | None = None
    undeveloped: int = 0

    @property
    def rows(self) -> int:
        return rows_of(self.ask.guidance)

    @property
    def work(self) -> Work:
        evaluations = SAMPLERS[self.ask.sampler].evaluations(self.ask.steps)
        return Work(float(self.rows * self.ask.images), evaluations)

    @property
    def took_s(self) -> float:
        assert self.ended_at is not None
        return self.ended_at - self.accepted_at


@dataclass(slots=True, eq=False)
class Running:
    """A picture in a worker."""

    job: Job
    left: int  # evaluations


@dataclass(slots=True)
class Device:
    """A worker: its pictures, those that join at the next step, and what it tells."""

    budget: int
    pictures: list[Running] = field(default_factory=list)
    claimed: list[Running] = field(default_factory=list)
    held: set[Job] = field(default_factory=set)  # that have not ended
    is_busy: bool = False
    now: float = 0.0
    speed: Speed = field(init=False)

    def __post_init__(self) -> None:
        self.speed = Speed(lambda: self.now)

    @property
    def rows(self) -> int:
        return sum(each.job.rows for each in (*self.pictures, *self.claimed))

    def claim(self, queue: "deque[Job]") -> None:
        """As worker/room.py: a job fits where one of its pictures does."""
        while queue and self.rows + queue[0].rows <= self.budget:
            job = queue.popleft()
            self.held.add(job)
            job.undeveloped = job.ask.images
            evaluations = job.work.evaluations
            self.claimed += [Running(job, evaluations) for _ in range(job.ask.images)]

    def join(self) -> None:
        self.pictures += self.claimed
        self.claimed = []

    def step(self, times: StepTimes) -> tuple[float, list[Running]]:
        """One call: how long it took with all around it, and who is done."""
        room, riders = self.budget, []
        for each in self.pictures:
            if each.job.rows > room:
                break
            room -= each.job.rows
            riders.append(each)
        for each in riders:
            each.left -= 1
        done = [each for each in riders if each.left == 0]
        self.pictures = [each for each in self.pictures if each.left > 0]
        rows, decode_s = self.budget - room, times.decode_s(1) * len(done)
        step_s = times.step_s(rows)
        self.speed.stepped(StepReport(rows=rows, step_s=step_s, decode_s=decode_s))
        return step_s + decode_s, done

    def card(self, name: str) -> WorkerCard:
        here = (*self.pictures, *self.claimed)
        left = sum(each.job.rows * each.left for each in here)
        self.speed.holding = Holding(float(self.rows), float(left), ("",) if here else ())
        told = {"rows": self.budget, "pace": self.speed.pace}
        told |= {"row_steps_per_s": self.speed.row_steps_per_s}
        plain = WorkerCard(
            name=name,
            model="simulated",
            host="",
            pid=1,
            device="simulated",
            dtype="float16",
            rows=self.budget,
            metrics_port=0,
            started_at=0.0,
        )
        return plain.model_copy(update=told)


class Service:
    """Events in the order of their time."""

    def __init__(self, times: StepTimes, workers: int, budget: int, seed: int = 0):
        self._times = times
        self._devices = [Device(budget) for _ in range(workers)]
        self._queue: deque[Job] = deque()
        self._told: list[WorkerCard] = []
        self._left = 0
        self._census: tuple[WorkerCard, ...] = ()
        self._dice = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    def run(self, jobs: Sequence[Job]) -> None:
        """Until the last of them has ended."""
        self._left = len(jobs)
        self._told = [device.card(str(n)) for n, device in enumerate(self._devices)]
        for job in jobs:
            self._at(job.accepted_at, partial(self._accept, job))
        for n in range(len(self._devices)):
            self._at(self._dice.random() * BEAT_S, partial(self._beat, n))
        self._at(self._dice.random() * CENSUS_S, self._look)
        while self._left:
            now, _, happen = heapq.heappop(self._events)
            happen(now)

    def _at(self, moment: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happen))

    def _accept(self, job: Job, now: float) -> None:
        self._queue.append(job)
        held = [job for device in self._devices for job in device.held]
        rows = sum(each.rows * each.ask.images for each in held)
        work = sum(each.work.row_steps for each in self._queue)
        known = float(rows) if held else None
        job.standing = Standing(len(self._queue), work, len(held), known)
        job.cards = self._census
        idle = next((device for device in self._devices if not device.is_busy), None)
        if idle is not None:
            idle.is_busy = True
            idle.claim(self._queue)
            self._at(now + CLAIM_S, partial(self._step, idle))

    def _step(self, device: Device, now: float) -> None:
        device.now = now
        device.join()
        if not device.pictures:
            device.claim(self._queue)
            device.join()
        device.is_busy = bool(device.pictures)
        if device.is_busy:
            device.claim(self._queue)  # while the step runs; they join the next one
            took_s, done = device.step(self._times)
            self._at(now + took_s, partial(self._stepped, device, done))

    def _stepped(self, device: Device, done: Sequence[Running], now: float) -> None:
        for picture in done:
            picture.job.undeveloped -= 1
            if picture.job.undeveloped == 0:
                self._at(now + STORE_S, partial(self._end, device, picture.job))
        self._step(device, now)

    def _end(self, device: Device, job: Job, now: float) -> None:
        job.ended_at = now
        device.held.remove(job)
        after_s = self._times.decode_s(1) + STORE_S
        device.speed.ended(Timeline.of((*[0.0] * (DENOISED + 1), after_s)))
        self._left -= 1

    def _beat(self, n: int, now: float) -> None:
        self._devices[n].now = now
        self._told[n] = self._devices[n].card(str(n))
        self._at(now + BEAT_S, partial(self._beat, n))

    def _look(self, now: float) -> None:
        self._census = tuple(self._told)
        self._at(now + CENSUS_S, self._look)
