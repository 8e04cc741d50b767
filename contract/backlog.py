"""How much work waits for a model, as far as that can be known cheaply.

Work is counted in row-steps of the model's native size: a guided picture of 30 steps is 60. It
stands with each job. Of the jobs that wait, the first EXACT are looked at; behind them each counts
as the average of those. What is in the workers' hands is known by the leases, however long ago they
told of themselves.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from redis.client import Pipeline
from rq import Queue
from rq.job import Job
from rq.utils import as_text

from contract import leases

WORK_FIELD = "row_steps"
"""A field of ours in RQ's hash of a job."""

EXACT = 30  # jobs

FUNCTIONS = (
    leases.FUNCTIONS
    + f"""
local function work_of(list, jobs)
    if jobs == 0 then return 0 end
    local sum, known, looked = 0, 0, math.min(jobs, {EXACT})
    for _, id in ipairs(redis.call('LRANGE', list, 0, looked - 1)) do
        local work = redis.pcall('HGET', '{Job.redis_job_namespace_prefix}' .. id, '{WORK_FIELD}')
        if type(work) == 'string' then sum, known = sum + work, known + 1 end
    end
    if known == jobs then return sum end
    if known > 0 then return sum / known * jobs end
end
"""
)

_STANDING = (
    FUNCTIONS
    + """
local job = redis.pcall('HMGET', KEYS[1], 'status', 'origin')
if job.err or job[1] ~= 'queued' or not job[2] then return false end
local list = 'rq:queue:' .. job[2]
local index = redis.call('LPOS', list, ARGV[1])
if not index then return false end
local held, rows = held_of(job[2])
return {index + 1, tostring(work_of(list, index + 1) or ''), held, tostring(rows or '')}
"""
)

_STANDINGS = (
    leases.FUNCTIONS
    + f"""
local wanted, found, sum, known = {{}}, {{}}, 0, 0
local held, rows = held_of(ARGV[1])
for n = 2, #ARGV do wanted[ARGV[n]] = true end
for i, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if i <= {EXACT} then
        local work = redis.pcall('HGET', '{Job.redis_job_namespace_prefix}' .. id, '{WORK_FIELD}')
        if type(work) == 'string' then sum, known = sum + work, known + 1 end
    end
    if wanted[id] then
        local work = known == i and sum or known > 0 and sum / known * i or ''
        found[#found + 1] = {{id, i, tostring(work), held, tostring(rows or '')}}
    end
end
return found
"""
)


_WORK = (
    FUNCTIONS
    + """
return tostring(work_of(KEYS[1], redis.call('LLEN', KEYS[1])) or 0)
"""
)


class Standing(NamedTuple):
    """Where a job stands in its queue."""

    position: int  # 1 is next
    work: float | None  # row-steps until it is done, its own included; None where unknown
    held: int = 0  # jobs that workers have in hand
    held_rows: float | None = None  # of these jobs, of native size; None where unknown

    @property
    def place(self) -> tuple[int, float | None]:
        """What a waiting caller is told anew when it changes."""
        return self.position, self.work


def ask_work(pipeline: Pipeline, list_key: str) -> None:
    """Queues a command whose answer is the row-steps of all jobs in the list, as text."""
    pipeline.eval(_WORK, 1, list_key)


def ask_standing(pipeline: Pipeline, job_id: str) -> None:
    """Queues a command whose answer `read_standing` reads."""
    pipeline.eval(_STANDING, 1, Job.key_for(job_id), job_id)


def standings(queue: Queue, job_ids: Collection[str]) -> dict[str, Standing]:
    """Where those of the jobs stand that wait. One look at the queue for all of them, since each
    look for one job goes through the whole queue."""
    answer: Any = queue.connection.eval(_STANDINGS, 1, queue.key, queue.name, *job_ids)
    return {as_text(job_id): _standing(*told) for job_id, *told in answer}


def read_standing(answer: Any) -> Standing | None:
    """None where the job does not wait."""
    if answer is None:
        return None
    return _standing(*answer)


def _standing(position: int, work: bytes, held: int, rows: bytes) -> Standing:
    return Standing(position, _number(work), held, _number(rows))


def _number(text: bytes) -> float | None:
    return float(text) if text else None
