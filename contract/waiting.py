"""How much waits for a model, by priority, for the cost of a few looks however much it is.

How many wait is the list's to say. The sorted set of turns only says how many of them are of which
priority: it may still name some at its front that a stock worker took, and none that RQ itself put
back, which count as of normal priority.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.client import Pipeline
from rq import Queue

from contract import backlog, identity, turns
from contract.queue import queue_text
from contract.request import PRIORITIES, Priority
from contract.turns import SPAN

ASKED = 3 + 2 * len(PRIORITIES)
"""How many commands `ask_waiting` queues."""


class Lane(NamedTuple):
    depth: int  # jobs
    wait_s: float  # since the job was accepted that is next; 0 where none waits


@dataclass(frozen=True, slots=True)
class Waiting:
    lanes: Mapping[Priority, Lane]
    work: float  # row-steps, as estimated


def ask_waiting(pipeline: Pipeline, queue: Queue) -> None:
    """Queues the commands whose answers `read_waiting` reads."""
    order = turns.order_key(queue.name)
    pipeline.llen(queue.key)
    pipeline.lindex(queue.key, 0)
    backlog.ask_work(pipeline, queue.key)
    for lane in range(len(PRIORITIES)):
        start, stop = lane * SPAN, (lane + 1) * SPAN - 1
        pipeline.zcount(order, start, stop)
        pipeline.zrangebyscore(order, start, stop, start=0, num=1)


def read_waiting(answers: Sequence[Any]) -> Waiting:
    length, head, work, *lanes = answers
    counts, nexts = lanes[::2], [first[0] if first else None for first in lanes[1::2]]
    depths = _depths(length, counts)
    first = next((lane for lane, depth in enumerate(depths) if depth), None)
    if first is not None:
        nexts[first] = head
    waits = [_wait_s(each) if depth else 0.0 for each, depth in zip(nexts, depths, strict=True)]
    lanes = [Lane(*each) for each in zip(depths, waits, strict=True)]
    return Waiting(dict(zip(PRIORITIES, lanes, strict=True)), float(work or 0.0))


def _depths(length: int, counts: Sequence[int]) -> list[int]:
    """Of the priorities, which add up to the length of the list."""
    depths = []
    for count in reversed(counts):
        depths.append(min(count, length))
        length -= depths[-1]
    depths.reverse()
    depths[PRIORITIES.index("normal")] += length
    return depths


def _wait_s(job_id: bytes | None) -> float:
    accepted = identity.created_at(queue_text(job_id)) if job_id is not None else None
    return max(0.0, time.time() - accepted) if accepted is not None else 0.0
