"""The news of jobs: one reader of Redis for the whole process, however many follow.

For each job that somebody follows the process keeps a copy of its stream of events, read once and
kept up to date together with all others. Whoever follows has no more than a place in the copy, so
one who reads slowly holds up nobody, here or in the worker. Redis says which jobs have news; what
the news is stands in the streams, so that nothing is lost with a message: after an outage all
streams are read on from where they were.
"""

import asyncio
import logging
import re
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError

from app.backend import Backend
from app.channel import RECONNECT_S, Channel
from contract import queue
from contract.backlog import Standing
from contract.errors import ServiceError
from contract.events import NEWS_CHANNEL, EventKind, JobEvent
from contract.job import JobRecord
from contract.news import BEGINNING, note_missed_ends, read_news

LOOK_AGAIN_S = 1.0
"""How often the places in the queue are looked at: they change without an event of the job."""

QUIET_S = 5.0
"""A job without news for so long is looked at: a stock `rq worker` tells nothing of it."""

MOST_AT_ONCE = 100  # jobs in one call

FEW, BREATH_S = 10, 0.02
"""So many jobs are told of their places, and then it is others' turn: when one leaves the queue,
all behind it have a new place at once."""

EVENT_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")

logger = logging.getLogger(__name__)

T = TypeVar("T")
Place = tuple[int, int]
"""A place in a job's stream: the id of an entry."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job waits, at this place in its queue as far as that is known."""

    standing: Standing | None
    id: str | None = None  # of the event that says so; None where only the place is new


@dataclass(frozen=True, slots=True)
class Gap:
    """What happened before is not known any more; whoever reads needs the job as it is."""

    id: str  # of the last event that is left out


Update = JobEvent | Waiting | Gap


class _Topic:
    """One job that is followed."""

    def __init__(self, record: JobRecord):
        self.job_id = record.id
        self.model = record.request.model
        self.events: list[JobEvent] = []
        self.reads_begun = 0
        self.reads_done = 0  # the latest of those begun that has come to an end
        self.is_gone = False  # and so is its record
        self.followers = 0
        self.heard_at = time.monotonic()
        self.changed = asyncio.Event()
        """Replaced with each change: whoever waits takes it first and looks then."""
        self.standing = record.standing

    @property
    def last_id(self) -> str:
        return self.events[-1].id if self.events else BEGINNING

    @property
    def is_waiting(self) -> bool:
        """Whether the job stands in its queue, as far as it has told."""
        moves = (event.kind for event in reversed(self.events) if event.kind.is_move)
        return next(moves, EventKind.QUEUED) in (EventKind.QUEUED, EventKind.REQUEUED)

    def add(self, events: Sequence[JobEvent]) -> None:
        self.heard_at = time.monotonic()
        self.events += events
        if not self.is_waiting:
            self.standing = None
        self.reads_done = self.reads_begun
        self.notify()

    def stand(self, standing: Standing | None) -> None:
        # What workers have in hand changes all the time, and is no news by itself.
        if _place_of(standing) != _place_of(self.standing):
            self.standing = standing
            self.notify()

    def notify(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def knows(self, place: Place | None) -> bool:
        """Whether all that came after a place is here; None is before the first event."""
        if not self.events:
            return False
        if place is None:
            return self.events[0].kind is EventKind.QUEUED
        return self.events[0].place <= place <= self.events[-1].place

    def gap(self) -> Gap:
        """Leaves out all there is but the end, which is for everyone."""
        left_out = [event.id for event in self.events if not event.kind.is_final]
        return Gap(left_out[-1] if left_out else BEGINNING)

    def after(self, place: Place) -> list[JobEvent]:
        n = len(self.events)
        while n > 0 and self.events[n - 1].place > place:
            n -= 1
        return self.events[n:]


class _Follower:
    """How far somebody is who follows a job."""

    def __init__(self, topic: _Topic, last_id: str | None):
        self._topic = topic
        self._place = _place(last_id)
        self._has_begun = False
        self._begins_with = topic.reads_begun + 1
        """Before it the copy may be behind what they have seen elsewhere."""
        self._is_lost = last_id is not None and self._place is None
        self._told: Standing | None = None
        self.has_seen_end = False

    def updates(self) -> Iterator[Update]:
        """What is new to them."""
        topic = self._topic
        if not self._has_begun:
            if topic.reads_done < self._begins_with:
                return
            self._has_begun = True
            if self._is_lost or not topic.knows(self._place):
                gap = topic.gap()
                self._place = _place(gap.id)
                yield gap
        for event in topic.after(self._place or (0, 0)):
            self._place = event.place
            self.has_seen_end = event.kind.is_final
            yield self._waiting(event.id) if event.kind is EventKind.QUEUED else event
        if topic.standing is not None and topic.standing != self._told:
            yield self._waiting(None)

    def _waiting(self, event_id: str | None) -> Waiting:
        self._told = self._topic.standing
        return Waiting(self._told, event_id)


class Newsroom:
    """Hears of what happens to jobs."""

    def __init__(self, redis_url: str, backend: Backend):
        self._backend = backend
        self._channel = Channel(redis_url, NEWS_CHANNEL, self._hear)
        self._topics: dict[str, _Topic] = {}
        self._stale: set[str] = set()
        """Topics that may have news."""
        self._is_stale = asyncio.Event()
        self._is_leaving = False

    def listening(self) -> AbstractAsyncContextManager[None]:
        return self._channel.heard(self._read, self._look)

    async def follow(
        self, record: JobRecord, last_id: str | None = None
    ) -> AsyncGenerator[Update, None]:
        """What happens to a job, to the end that it comes to, or until `release`.

        Args:
            last_id: the last event that the reader has seen. All that came after it follows, and
                all there is where it is None. What is no place in the job's stream, or no longer
                one, brings a `Gap` first.
        """
        with self._following(record) as topic:
            follower = _Follower(topic, last_id)
            while True:
                changed = topic.changed
                for update in follower.updates():
                    yield update
                if follower.has_seen_end or topic.is_gone or self._is_leaving:
                    return
                await changed.wait()

    def release(self) -> None:
        """Ends all that follow, now and from now on: they ask again elsewhere."""
        self._is_leaving = True
        for topic in self._topics.values():
            topic.notify()

    @contextmanager
    def _following(self, record: JobRecord) -> Iterator[_Topic]:
        topic = self._topics.get(record.id)
        if topic is None:
            topic = self._topics[record.id] = _Topic(record)
        self._doubt([record.id])
        topic.followers += 1
        try:
            yield topic
        finally:
            topic.followers -= 1
            if topic.followers == 0:
                del self._topics[record.id]

    def _doubt(self, job_ids: Sequence[str]) -> None:
        """Has these topics read on."""
        self._stale.update(job_ids)
        self._is_stale.set()

    def _hear(self, message: dict[str, object]) -> None:
        if message["type"] == "subscribe":  # what was told before went past us
            self._doubt(list(self._topics))
        data = message["data"]
        if message["type"] == "message" and isinstance(data, bytes):
            self._doubt([job_id for job_id in data.decode().split() if job_id in self._topics])

    async def _read(self) -> None:
        """Keeps the topics up to date. Whatever becomes stale meanwhile is read together next."""
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            stale, self._stale = self._stale, set()
            try:
                for job_ids in _parts(sorted(stale)):
                    await self._read_on(job_ids)
            except (ServiceError, RedisError) as error:
                logger.debug("no news of jobs: %s", error)
                self._doubt(list(stale))
                await asyncio.sleep(RECONNECT_S)
            except Exception:  # one that cannot be read must not end the reading of all others
                logger.exception("no news of jobs")

    async def _read_on(self, job_ids: Sequence[str]) -> None:
        topics = [self._topics[job_id] for job_id in job_ids if job_id in self._topics]
        for topic in topics:
            topic.reads_begun += 1
        known = {topic.job_id: topic.last_id for topic in topics}
        news = await self._backend.call(read_news, known)
        for topic in topics:
            topic.add(news.get(topic.job_id, ()))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                await self._look_at_queues()
                await self._look_at_quiet()
            except (ServiceError, RedisError) as error:
                logger.debug("no look at jobs: %s", error)
            except Exception:
                logger.exception("no look at jobs")

    async def _look_at_queues(self) -> None:
        waiting: dict[str, list[_Topic]] = defaultdict(list)
        for topic in self._topics.values():
            if topic.is_waiting:
                waiting[topic.model].append(topic)
        for model, topics in waiting.items():
            job_ids = [topic.job_id for topic in topics]
            standings = await self._backend.call(_standings, model, job_ids)
            parts = list(_parts(topics, FEW))
            for few in parts:
                for topic in few:
                    topic.stand(standings.get(topic.job_id) if topic.is_waiting else None)
                await asyncio.sleep(min(BREATH_S, LOOK_AGAIN_S / len(parts)))

    async def _look_at_quiet(self) -> None:
        before = time.monotonic() - QUIET_S
        quiet = [topic for topic in self._topics.values() if topic.heard_at < before]
        for topics in _parts(quiet):
            gone = await self._backend.call(note_missed_ends, [each.job_id for each in topics])
            for topic in topics:
                topic.heard_at = time.monotonic()
                topic.is_gone = topic.job_id in gone
                if topic.is_gone:
                    topic.notify()
            self._doubt([topic.job_id for topic in topics])


def _standings(connection: Redis, model: str, job_ids: Sequence[str]) -> dict[str, Standing]:
    return queue.standings(queue.model_queue(connection, model), job_ids)


def _parts(whole: list[T], size: int = MOST_AT_ONCE) -> Iterator[list[T]]:
    """So that no call is huge."""
    return (whole[n : n + size] for n in range(0, len(whole), size))


def _place(event_id: str | None) -> Place | None:
    """None where it is no id of an event."""
    found = EVENT_ID.fullmatch(event_id or "")
    return (int(found[1]), int(found[2])) if found is not None else None


def _place_of(standing: Standing | None) -> tuple[int, float | None] | None:
    return standing.place if standing is not None else None
