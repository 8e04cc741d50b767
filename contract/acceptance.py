"""Whether a job may wait and where, judged in the transaction that lets it.

A script judges it, and carries out the commands with which RQ's own code writes a job's records
only where it may be. So a request is one round trip and one command, nobody ever sees a job that
was refused, and no two requests take the same last place.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.job import Job

from contract import backlog, idempotency, job_index, rates, turns
from contract.backlog import WORK_FIELD, Standing
from contract.errors import QueueFull, RateLimited, TooManyQueued, TooMuchWaiting
from contract.events import OPEN_TTL_S
from contract.idempotency import Ticket
from contract.leases import ROWS_FIELD
from contract.quotas import NO_QUOTAS, WINDOW_S, Quota, Quotas
from contract.request import JobRequest
from contract.sizes import Size
from contract.transactions import OWNER_FIELD
from contract.turns import PRIORITY_FIELD

FULL_RETRY_S = 10

# Which of the owner's jobs wait is only looked at where it seems to be too many of them: a stock
# worker that takes one tells nobody.
_ACCEPT = (
    backlog.FUNCTIONS
    + turns.FUNCTIONS
    + job_index.FUNCTIONS
    + f"""
local list, order, by_id, by_end, ticket, finished, queued, before, now = unpack(KEYS)
local id, terms = ARGV[1], cjson.decode(ARGV[2])

local function answer(verdict, fields)
    fields.verdict = verdict
    if terms.per_minute then fields.window = counted(before, now) end
    return cjson.encode(fields)
end

local function write_records()
    local at = 3
    while ARGV[at] do
        local last = at + ARGV[at]
        redis.call(unpack(ARGV, at + 1, last))
        at = last + 1
    end
end

local function queued_now()
    local count = redis.call('SCARD', queued)
    if count < terms.queued then return count end
    for _, each in ipairs(redis.call('SMEMBERS', queued)) do
        local key = '{Job.redis_job_namespace_prefix}' .. each
        if redis.pcall('HGET', key, 'status') ~= 'queued' then redis.call('SREM', queued, each) end
    end
    return redis.call('SCARD', queued)
end

if terms.ticket and redis.call('EXISTS', ticket) == 1 then return answer('known', {{}}) end
local content = finished ~= '' and redis.call('GET', finished)
if content then return answer('finished', {{content = content}}) end
local depth = redis.call('LLEN', list)
if terms.most_waiting and depth >= terms.most_waiting then return answer('full', {{}}) end
if terms.most_work then
    local work = work_of(list, depth)
    if work and work >= terms.most_work then return answer('long', {{work = work}}) end
end
local count = terms.queued and queued_now()
if count and count >= terms.queued then return answer('queued', {{queued = count}}) end
if terms.per_minute and not acquire({{before, now}}, {{terms.per_minute, {WINDOW_S}, 1}}) then
    return answer('rate', {{queued = count}})
end

write_records()
if terms.ticket then redis.call('SET', ticket, terms.ticket, 'EX', terms.ticket_ttl) end
if count then
    redis.call('SADD', queued, id)
    redis.call('EXPIRE', queued, {OPEN_TTL_S})
    count = count + 1
end
list_job(by_id, by_end, id, {OPEN_TTL_S} * 1000, true)
enter(list, order, id, terms)
local position = redis.call('LPOS', list, id, 'RANK', -1) + 1
local held, rows = held_of(terms.queue)
return answer('accepted', {{position = position, work = work_of(list, position), queued = count,
    held = held, rows = rows}})
"""
)

_ACCEPT_WITHIN_RATE = rates.FUNCTIONS + _ACCEPT

_COUNT = (
    rates.FUNCTIONS
    + f"""
local before, now = unpack(KEYS)
local is_within = acquire({{before, now}}, {{tonumber(ARGV[1]), {WINDOW_S}, 1}})
return cjson.encode({{is_within = is_within and true or false, window = counted(before, now)}})
"""
)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a job is accepted; None is no bound."""

    owner: str = ""  # id of the key that asks; empty where keys are off
    weight: int = 1  # how many turns it gets where others get one
    queued: int | None = None  # jobs of the owner that wait
    per_minute: int | None = None  # jobs of the owner
    most_waiting: int | None = None  # jobs, for the model
    most_waiting_s: float | None = None  # of work, for the model
    row_steps_per_s: float | None = None  # of its workers, with full batches; None where unknown
    native: Size | None = None  # of the model's pictures; None: they are all as large as that

    @property
    def most_work(self) -> float | None:
        """Row-steps."""
        if self.most_waiting_s is None or self.row_steps_per_s is None:
            return None
        return self.most_waiting_s * self.row_steps_per_s


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that was accepted."""

    standing: Standing
    quotas: Quotas


@dataclass(frozen=True, slots=True)
class Answerable:
    """No job was made, as an equal one has finished; `finished.read` reads the content."""

    content: str


Verdict = Entry | Answerable | None
"""None where the ticket had made a job already."""


def note_terms(pipeline: Pipeline, job_id: str, request: JobRequest, terms: Terms) -> None:
    """Fields of ours in the job's record; part of the transaction."""
    cost = request.cost(terms.native) if terms.native is not None else 1
    fields: dict[Any, Any] = {
        WORK_FIELD: request.row_steps * cost,
        ROWS_FIELD: request.rows * cost,
        PRIORITY_FIELD: request.priority,
    }
    if terms.owner:
        fields[OWNER_FIELD] = terms.owner
    pipeline.hset(Job.key_for(job_id), mapping=fields)


def note_left(pipeline: Pipeline, queue_name: str, job_id: str, owner: str) -> None:
    """Notes that a job waits no more; part of the transaction that moves it."""
    turns.note_gone(pipeline, queue_name, job_id)
    if owner:
        pipeline.srem(rates.queued_key(owner), job_id)


def judge(
    pipeline: Pipeline,
    records: Sequence[Any],
    queue: Queue,
    job_id: str,
    request: JobRequest,
    terms: Terms,
    ticket: Ticket | None,
    finished_key: str,
) -> None:
    """Queues the one command after which the job is there, or nothing of it; `read_verdict` reads
    its answer.

    Args:
        records: the commands that write the job's records, by `words_of`.
        finished_key: where an equal job stands that has finished, if there is one; empty where that
            is not wanted.
    """
    keys = (
        queue.key,
        turns.order_key(queue.name),
        *job_index.keys(terms.owner),
        ticket.redis_key if ticket is not None else "",
        finished_key,
        rates.queued_key(terms.owner),
        *rates.window_keys(terms.owner),
    )
    told: dict[str, Any] = {
        "owner": terms.owner,
        "queue": queue.name,
        "priority": request.priority,
        "cost": turns.cost_of(request, terms.weight),
        "kept_s": turns.KEPT_S,
        "most_waiting": terms.most_waiting,
        "most_work": terms.most_work,
        "queued": terms.queued,
        "per_minute": terms.per_minute,
    }
    if ticket is not None:
        told |= {"ticket": ticket.entry(job_id), "ticket_ttl": idempotency.KEPT_S}
    known = {name: value for name, value in told.items() if value is not None}
    script = _ACCEPT if terms.per_minute is None else _ACCEPT_WITHIN_RATE
    pipeline.eval(script, len(keys), *keys, job_id, json.dumps(known), *records)


def read_verdict(answer: Any, terms: Terms) -> Verdict:
    """
    Raises:
        QueueFull, TooMuchWaiting, TooManyQueued, RateLimited: the job is not there.
    """
    told = json.loads(answer)
    found = _quotas(told, terms)
    match told["verdict"]:
        case "known":
            return None
        case "finished":
            return Answerable(told["content"])
        case "full":
            raise QueueFull(
                f"{terms.most_waiting} jobs wait for this model already.",
                retry_after_s=FULL_RETRY_S,
            )
        case "long":
            raise _too_much_waiting(told["work"], terms)
        case "queued":
            raise TooManyQueued(f"{terms.queued} jobs of this key wait already.", quotas=found)
        case "rate":
            raise _rate_limited(terms, found)
    standing = Standing(told["position"], told.get("work"), told["held"], told.get("rows"))
    return Entry(standing, found)


def count(connection: Redis, terms: Terms) -> Quotas:
    """Counts a job that need not wait: it is one of those of a minute all the same.

    Raises:
        RateLimited: the owner has asked for too many.
    """
    if terms.per_minute is None:
        return NO_QUOTAS
    keys = rates.window_keys(terms.owner)
    answer: Any = connection.eval(_COUNT, len(keys), *keys, terms.per_minute)
    told = json.loads(answer)
    found = _quotas(told, terms)
    if not told["is_within"]:
        raise _rate_limited(terms, found)
    return found


def _rate_limited(terms: Terms, found: Quotas) -> RateLimited:
    assert found.per_minute is not None
    return RateLimited(
        f"This key may ask for {terms.per_minute} jobs a minute.",
        retry_after_s=max(1, found.per_minute.reset_s or 0),
        quotas=found,
    )


def _too_much_waiting(work: float, terms: Terms) -> TooMuchWaiting:
    assert terms.most_waiting_s is not None
    assert terms.row_steps_per_s is not None
    seconds = work / terms.row_steps_per_s
    return TooMuchWaiting(
        f"About {seconds:.0f} s of work wait for this model; at most "
        f"{terms.most_waiting_s:g} s may.",
        retry_after_s=max(1, math.ceil(seconds - terms.most_waiting_s)),
    )


def _quotas(told: dict[str, Any], terms: Terms) -> Quotas:
    per_minute = queued = None
    if terms.per_minute is not None:
        per_minute = rates.per_minute_quota(terms.per_minute, told["window"])
    if terms.queued is not None and "queued" in told:
        queued = Quota(terms.queued, max(0, terms.queued - told["queued"]))
    return Quotas(per_minute, queued)
