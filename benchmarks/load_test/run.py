"""Load on a service: at times of its own (open loop), or by users who wait (closed loop).

Every request has a time at which it was meant to be sent, and its response time counts from there,
whatever held it up: a service that stalls is charged for all who came meanwhile, not only for
those who were let in (coordinated omission).
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from itertools import takewhile

from load_test.demand import Ask, Mix, poisson
from load_test.service import Fault, Job, Service

USERS_APART_S = 0.01  # between the first requests of two users
PAUSE_S = 1.0  # of a user whose request failed, so that a broken service is not hammered
LEAVE_S = 5.0  # for cancelling what nobody waits for any more
AT_ONCE = 100  # arrivals, before others get their turn
RECENT = 200
GAVE_UP, INTERRUPTED = "timeout", "interrupted"
USERS, WARM_UP_S, TIMEOUT_S, MOST_OPEN = 8, 5.0, 600.0, 500  # of a plan that does not say


@dataclass(frozen=True, slots=True)
class Plan:
    """Open loop where there is a rate, else closed."""

    rate: float | None = None  # requests a second
    users: int = USERS
    seconds: float | None = None  # in which requests that count are sent
    requests: int | None = None  # that count; closed loop
    pace_s: float = 0.0  # a user means to send each so many seconds; 0: when the last one ended
    warm_up_s: float = WARM_UP_S
    timeout_s: float = TIMEOUT_S  # of a request, from when it was meant to be sent
    most_open: int = MOST_OPEN
    fetch: bool = False
    seed: int = 0

    @property
    def end_s(self) -> float:
        """When no more requests are sent, in seconds since the start."""
        return self.warm_up_s + self.seconds if self.seconds is not None else float("inf")


@dataclass(slots=True)
class Outcome:
    """What became of a request. Times are in seconds since the run's start."""

    ask: Ask
    intended: float  # when it was meant to be sent
    is_counted: bool
    due: float  # when this program was free to send it: then, or when its user had the answer
    slot_s: float = 0.0  # waited for one of `most_open`
    first_sent: float | None = None
    sent: float | None = None  # the try that was taken, or the last one
    accepted: float | None = None
    promised_s: float | None = None  # as estimated when it was accepted
    ended: float | None = None  # as seen from here, or when it was given up; None if it failed
    job: Job | None = None
    error: str | None = None
    refusals: list[str] = field(default_factory=list)  # of tries that were followed by others

    @property
    def has_succeeded(self) -> bool:
        return self.error is None and self.ended is not None

    @property
    def has_time(self) -> bool:
        """Whether it has a response time; what was given up has waited at least so long."""
        return self.ended is not None

    @property
    def response_s(self) -> float:
        """From when it was meant to be sent."""
        assert self.ended is not None
        return self.ended - self.intended

    @property
    def service_s(self) -> float:
        """From when it was sent."""
        assert self.ended is not None
        assert self.sent is not None
        return self.ended - self.sent

    @property
    def lag_s(self) -> float | None:
        """How much later than it could it was sent, for reasons of this program alone."""
        return None if self.first_sent is None else self.first_sent - self.due - self.slot_s


class Run:
    """One run, of which the outcomes so far can be read at any time."""

    def __init__(self, service: Service, model: str, mix: Mix, plan: Plan):
        self.outcomes: list[Outcome] = []
        self.recent: deque[float] = deque(maxlen=RECENT)  # response times, in seconds
        self.is_over = False
        self.is_interrupted = False
        self.began_at = 0.0  # seconds since the epoch
        self.done: Counter[str] = Counter()  # by error; "" for those that succeeded
        self._service, self._model, self._plan = service, model, plan
        self._asks = mix.asks(plan.seed)
        self._slots = asyncio.Semaphore(plan.most_open)
        self._left = plan.requests
        self._stopped = asyncio.Event()
        self._began = 0.0
        self._left_behind: list[str] = []  # jobs that nobody waits for any more
        self.cancelled = self.abandoned = 0

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    @property
    def under_way(self) -> int:
        return len(self.outcomes) - self.done.total()

    def stop(self) -> None:
        """No more requests; those under way are given up."""
        self.is_interrupted = True
        self._stopped.set()

    async def run(self) -> None:
        """Returns when all requests have ended, or after `stop`."""
        self._began, self.began_at = time.monotonic(), time.time()
        load = self._open_loop() if self._plan.rate is not None else self._closed_loop()
        working = asyncio.create_task(load)
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        self.is_over = True
        for task in (working, stopping):
            task.cancel()
        for result in await asyncio.gather(working, stopping, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._cancel_jobs()

    async def _open_loop(self) -> None:
        assert self._plan.rate is not None
        arrivals = poisson(self._plan.rate, self._plan.seed)
        async with asyncio.TaskGroup() as group:
            for n, at in enumerate(takewhile(lambda at: at < self._plan.end_s, arrivals)):
                if at > self.now or n % AT_ONCE == 0:  # those that are late all leave now
                    await self._until(at)
                group.create_task(self._one(self._next(at, at)))

    async def _closed_loop(self) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(self._plan.users):
                group.create_task(self._user(n * USERS_APART_S))

    async def _user(self, first: float) -> None:
        due = intended = first
        while intended < self._plan.end_s:
            await self._until(intended)
            if intended >= self._plan.warm_up_s and self._left is not None:
                if self._left == 0:
                    return
                self._left -= 1
            outcome = self._next(intended, due)
            await self._one(outcome, is_patient=True)
            if not outcome.has_succeeded:
                await asyncio.sleep(PAUSE_S)
            free = self.now
            intended = intended + self._plan.pace_s if self._plan.pace_s else free
            due = max(intended, free)

    def _next(self, intended: float, due: float) -> Outcome:
        is_counted = intended >= self._plan.warm_up_s
        outcome = Outcome(next(self._asks), intended, is_counted, due)
        self.outcomes.append(outcome)
        return outcome

    async def _one(self, outcome: Outcome, is_patient: bool = False) -> None:
        """Makes one request, to the end of its job, and notes what becomes of it.

        Args:
            is_patient: whether "not now" is followed by another try.
        """
        try:
            left_s = self._plan.timeout_s - (self.now - outcome.intended)
            async with asyncio.timeout(max(0.0, left_s)):
                arrived = self.now
                async with self._slots:
                    outcome.slot_s = self.now - arrived
                    await self._ask(outcome, is_patient)
        except Fault as fault:
            outcome.error = fault.code
        except TimeoutError:
            outcome.error, outcome.ended = GAVE_UP, self.now
        except asyncio.CancelledError:
            outcome.error = INTERRUPTED
            raise
        finally:
            self._note(outcome)

    async def _ask(self, outcome: Outcome, is_patient: bool) -> None:
        body = outcome.ask.body(self._model)
        outcome.first_sent = self.now
        job = None
        while job is None:
            outcome.sent = self.now
            try:
                job = await self._service.post(body)
            except Fault as fault:
                if not (is_patient and fault.is_refusal):
                    raise
                outcome.refusals.append(fault.code)
                await asyncio.sleep(fault.retry_after_s or PAUSE_S)
        outcome.accepted, outcome.job, outcome.promised_s = self.now, job, job.estimated_s
        outcome.job = ended = await self._service.end_of(job)
        if ended.state != "succeeded":
            raise Fault(f"job {ended.error or ended.state}")
        if self._plan.fetch:
            await self._service.fetch(ended)
        outcome.ended = self.now

    def _note(self, outcome: Outcome) -> None:
        if outcome.job is not None:  # a run may have a million of them
            outcome.job = replace(outcome.job, pictures={})
        self.done[outcome.error or ""] += 1
        if outcome.has_succeeded:
            self.recent.append(outcome.response_s)
        elif outcome.job is not None and not outcome.job.is_final:
            self._left_behind.append(outcome.job.id)

    async def _cancel_jobs(self) -> None:
        """A service is not left with work that nobody waits for."""

        async def cancel(job_id: str) -> None:
            async with self._slots:
                await self._service.cancel(job_id)
            self.cancelled += 1

        jobs = [asyncio.create_task(cancel(job_id)) for job_id in self._left_behind]
        if jobs:
            _, late = await asyncio.wait(jobs, timeout=LEAVE_S)
            self.abandoned = len(late)
            for task in late:
                task.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self.now))  # others get their turn in any case
