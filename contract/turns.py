"""Whose turn it is: the order of a model's queue.

Jobs stand in RQ's own list in the order in which they are to be taken, so that whoever takes the
first one is fair, a stock worker too. Before all others stand those of high priority, behind all
others those of low. Within a priority the keys take turns by start-time fair queueing (Goyal, Vin
and Cheng, 1996): a job's start tag is the finish tag of its key's job before, or the virtual time
where that is later, and its finish tag is its start tag plus its work by the weight of its key. The
virtual time is the start tag of the first job that waits.

A sorted set says where in the list a job belongs. It is a help and not the truth: of what the list
does not hold, or holds elsewhere, it may say what it likes.
"""

from redis.client import Pipeline
from rq import Queue
from rq.job import Job

from contract.request import JobRequest

PRIORITY_FIELD = "priority"
"""A field of ours in RQ's hash of a job."""

KEPT_S = 24 * 3600
CELL = 64 * 64  # pixels; a unit of work is a row-step of so many

SPAN = 10**13
# Scores: each priority has a span of its own and begins in its middle, as what comes back to the
# front goes below what is there. They are whole numbers that a double holds exactly.
FUNCTIONS = f"""
local lanes, SPAN = {{high = 0, normal = 1, low = 2}}, {SPAN}
local function text(number) return string.format('%.0f', number) end

local function lane_of(order, priority, kept_s)
    local lane = {{start = lanes[priority] * SPAN, order = order, kept_s = kept_s}}
    lane.flows = 'darkroom:flows:' .. priority .. ':' .. order
    lane.middle, lane.stop = lane.start + SPAN / 2, lane.start + SPAN - 1
    local found = redis.call('ZRANGEBYSCORE', order, text(lane.start), text(lane.stop),
        'WITHSCORES', 'LIMIT', 0, 1)
    lane.first = found[2] and tonumber(found[2])
    if not lane.first then redis.call('DEL', lane.flows) end
    return lane
end

local function flow(lane, name) return tonumber(redis.call('HGET', lane.flows, name) or 0) end

local function note(lane, name, tag)
    redis.call('HSET', lane.flows, name, text(tag))
    redis.call('EXPIRE', lane.flows, lane.kept_s)
end

local function stand(lane, id, tag)
    redis.call('ZADD', lane.order, text(tag), id)
    redis.call('EXPIRE', lane.order, lane.kept_s)
    return redis.call('ZRANK', lane.order, id)
end

local function place(list, order, id)
    local rank = redis.call('ZRANK', order, id)
    while true do
        local after = redis.call('ZRANGE', order, rank + 1, rank + 1)[1]
        if not after then return redis.call('RPUSH', list, id) end
        if redis.call('LINSERT', list, 'BEFORE', after, id) > 0 then return end
        redis.call('ZREM', order, after)
    end
end

local function forget_gone(list, order)
    local first, head = redis.call('ZRANGE', order, 0, 0)[1], redis.call('LINDEX', list, 0)
    while first and first ~= head and not redis.call('LPOS', list, first) do
        redis.call('ZREM', order, first)
        first = redis.call('ZRANGE', order, 0, 0)[1]
    end
end

local function enter(list, order, id, terms)
    forget_gone(list, order)
    local lane, name = lane_of(order, terms.priority, terms.kept_s), 'of:' .. terms.owner
    local tag = math.max(lane.middle, lane.first or 0, flow(lane, 'least'), flow(lane, name))
    tag = math.min(tag, lane.stop)
    note(lane, name, tag + terms.cost)
    if stand(lane, id, tag) + 1 < redis.call('ZCARD', order) then
        redis.call('LREM', list, -1, id)
        place(list, order, id)
    end
end

local function return_to_front(list, order, id, priority, kept_s)
    local lane = lane_of(order, priority, kept_s)
    if lane.first then note(lane, 'least', math.max(flow(lane, 'least'), lane.first)) end
    if stand(lane, id, lane.first and lane.first - 1 or lane.middle) > 0 then
        redis.call('LREM', list, 1, id)
        place(list, order, id)
    end
end
"""

_RETURN = (
    FUNCTIONS
    + f"""
local priority = redis.pcall('HGET', KEYS[3], '{PRIORITY_FIELD}')
if not lanes[priority] then priority = 'normal' end
return_to_front(KEYS[1], KEYS[2], ARGV[1], priority, ARGV[2])
"""
)


def cost_of(request: JobRequest, weight: int) -> int:
    """What a job takes of its key's share."""
    work = request.row_steps * request.width * request.height
    return max(1, -(-work // (CELL * weight)))


def put_in_front(pipeline: Pipeline, queue: Queue, job_id: str) -> None:
    """A job that comes back stands before all of its priority; part of the transaction, which has
    pushed it to the head of the list."""
    keys = queue.key, order_key(queue.name), Job.key_for(job_id)
    pipeline.eval(_RETURN, len(keys), *keys, job_id, KEPT_S)


def note_gone(pipeline: Pipeline, queue_name: str, job_id: str) -> None:
    """A job waits no more; part of the transaction that moves it."""
    pipeline.zrem(order_key(queue_name), job_id)


def order_key(queue_name: str) -> str:
    return f"darkroom:order:{queue_name}"
