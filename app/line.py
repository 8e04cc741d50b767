"""One connection to Redis that all requests of the process share.

What they ask goes out in the order in which it was asked, all of one turn of the event loop at
once, and the answers come back in that order: a request costs neither a thread nor a connection of
its own. It is for commands that are quick and wait for nothing.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import hiredis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError, InvalidResponse, ReadOnlyError, TimeoutError
from redis.retry import Retry

READ_BYTES = 65536
NOTHING = object()

TURN_S = 0.05
"""In which the event loop reads what has come, before it is said that nothing has."""


@dataclass(slots=True)
class _Asked:
    """Commands that went out together and are answered together."""

    count: int
    at: float  # by the monotonic clock
    answered: asyncio.Future[list[Any]]
    answers: list[Any] = field(default_factory=list)

    def add(self, answer: Any) -> bool:
        """Whether it was the last one."""
        self.answers.append(answer)
        is_last = len(self.answers) == self.count
        if is_last and not self.answered.done():
            self.answered.set_result(self.answers)
        return is_last


class _Wire:
    """A connection that stands, until its first failure: then all who wait are told, and it is
    over. What was asked over it is never sent again over another."""

    def __init__(self, connection: AbstractConnection, timeout_s: float):
        reader, writer = connection._reader, connection._writer
        assert reader is not None
        assert writer is not None
        self._connection = connection
        self._reader, self._writer = reader, writer
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._asked: deque[_Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.is_over = False
        self.listening = asyncio.create_task(self._listen())

    async def ask(self, packed: bytes, count: int) -> list[Any]:
        if self.is_over:
            raise ConnectionError("Redis closed the connection.")
        asked = _Asked(count, time.monotonic(), self._loop.create_future())
        self._asked.append(asked)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._look)
        return await asked.answered

    def _send(self) -> None:
        packed, self._unsent = b"".join(self._unsent), []
        if not self.is_over:
            self._writer.write(packed)

    def _look(self) -> None:
        """Not to hang up after an answer that is late would mix up all that come after it."""
        self._watch = None
        if self._asked and not self.is_over:
            left_s = self._asked[0].at + self._timeout_s - time.monotonic()
            if left_s <= 0:
                late = self._asked[0]
                self._watch = self._loop.call_later(
                    TURN_S, self._loop.call_soon, self._give_up, late
                )
            else:
                self._watch = self._loop.call_later(left_s, self._look)

    def _give_up(self, late: _Asked) -> None:
        """Unless it was this process that stood still, and the answer was there already."""
        if self._asked and self._asked[0] is late:
            self._end(TimeoutError("Redis does not answer in time."))
        else:
            self._look()

    async def _listen(self) -> None:
        try:
            await self._hear()
        except (OSError, InvalidResponse) as error:
            self._end(ConnectionError(str(error)))
        finally:
            self._end(ConnectionError("Redis closed the connection."))
            await self._connection.disconnect(nowait=True)

    async def _hear(self) -> None:
        """Gives out the answers, until the other side closes or should be asked no more."""
        reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=DefaultParser.parse_error,
            notEnoughData=NOTHING,
        )
        while heard := await self._reader.read(READ_BYTES):
            reader.feed(heard)
            while not self.is_over and (answer := reader.gets()) is not NOTHING:
                if isinstance(answer, hiredis.PushNotification):
                    continue
                if self._asked[0].add(answer):
                    self._asked.popleft()
                if isinstance(answer, ReadOnlyError):
                    return  # after a failover the address may lead elsewhere

    def _end(self, error: Exception) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._writer.close()
        for each in self._asked:
            if not each.answered.done():
                each.answered.set_exception(error)


class Line:
    """Connects when it is first asked, and anew when it is asked after a failure."""

    def __init__(self, redis_url: str, *, timeout_s: float):
        self._pool = redis.asyncio.ConnectionPool.from_url(
            redis_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._timeout_s = timeout_s
        self._attempt: asyncio.Task[_Wire] | None = None
        self._wire: _Wire | None = None

    async def execute(self, pipeline: Pipeline) -> list[Any]:
        """What `pipeline.execute()` returns, of a pipeline that is no transaction.

        Raises:
            RedisError: the first of what its commands met; or the connection broke, and what was
                asked may have been carried out.
        """
        commands = pipeline.command_stack
        packed = b"".join([hiredis.pack_command(args) for args, _ in commands])
        wire = self._wire
        if wire is None or wire.is_over:
            wire = await self._connect()
        answers = await wire.ask(packed, len(commands))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        read = pipeline.response_callbacks
        return [
            read[args[0]](answer, **options) if args[0] in read else answer
            for (args, options), answer in zip(commands, answers, strict=True)
        ]

    async def close(self) -> None:
        if self._attempt is not None:
            await _cancel(self._attempt)
        if self._wire is not None:
            await _cancel(self._wire.listening)

    async def _connect(self) -> _Wire:
        """One attempt at a time: who comes meanwhile shares what becomes of it, so that nobody
        waits longer for a Redis that is frozen than it takes to notice."""
        attempt = self._attempt
        if attempt is None or attempt.done():
            attempt = self._attempt = asyncio.create_task(self._make_wire())
            # All who wait may give up before it fails, and that is no fault to log.
            attempt.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([attempt])
        return attempt.result()

    async def _make_wire(self) -> _Wire:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        self._wire = _Wire(connection, self._timeout_s)
        return self._wire


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
