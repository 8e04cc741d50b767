"""What has happened to jobs since one last looked: for whoever follows many of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis import Redis
from rq.job import Job
from rq.utils import as_text

from contract.events import (
    KIND_FIELD,
    MOST_EVENTS,
    NEWS_CHANNEL,
    OPEN_TTL_S,
    EventKind,
    JobEvent,
    events_key,
    job_event,
)
from contract.job import STATES
from contract.previews import preview_contents

BEGINNING = "0-0"
"""Before the first event."""

_ENDS = [part for status, state in STATES.items() if state.is_final for part in (status, state)]
"""RQ's word for each end, and ours."""

# The status and the last event are of one moment: a move of ours writes both.
_NOTE_END = f"""
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 1 end
local ends, finals = {{}}, {{}}
for i = 4, #ARGV, 2 do ends[ARGV[i]] = ARGV[i + 1] finals[ARGV[i + 1]] = true end
if not ends[status] then return 0 end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last and finals[last[2][2]] then return 0 end
local ttl = redis.call('PTTL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', '{KIND_FIELD}', ends[status])
redis.call('PEXPIRE', KEYS[2], ttl > 0 and ttl or ARGV[2])
redis.call('PUBLISH', '{NEWS_CHANNEL}', ARGV[3])
return 0
"""


def read_news(connection: Redis, after: Mapping[str, str]) -> dict[str, list[JobEvent]]:
    """The events of jobs after those that are known, oldest first; one round trip, and another one
    where previews are among them.

    Args:
        after: the id of the last event that is known of each job.
    """
    if not after:
        return {}
    places: dict[Any, Any] = {events_key(job_id): place for job_id, place in after.items()}
    jobs = {events_key(job_id): job_id for job_id in after}
    answer: Any = connection.xread(places)
    news = {
        jobs[as_text(key)]: [job_event(entry, raw) for entry, raw in entries]
        for key, entries in answer
    }
    _fill_previews(connection, news)
    return news


def _fill_previews(connection: Redis, news: dict[str, list[JobEvent]]) -> None:
    found = [
        (job_id, n)
        for job_id, events in news.items()
        for n, event in enumerate(events)
        if event.kind is EventKind.PREVIEW
    ]
    if not found:
        return
    contents = preview_contents(connection, [(job_id, news[job_id][n]) for job_id, n in found])
    for (job_id, n), content in zip(found, contents, strict=True):
        news[job_id][n] = replace(news[job_id][n], content=content)


def last_event_id(connection: Redis, job_id: str) -> str:
    """BEGINNING where there is none."""
    entries: Any = connection.xrevrange(events_key(job_id), count=1)
    return as_text(entries[0][0]) if entries else BEGINNING


def note_missed_ends(connection: Redis, job_ids: Sequence[str]) -> list[str]:
    """Adds the end to the history of each job that ended without a word, as a stock `rq worker` or
    one of RQ's tools ends it. One round trip.

    Returns:
        Those jobs that are no longer there.
    """
    pipeline = connection.pipeline(transaction=False)
    for job_id in job_ids:
        keys = Job.key_for(job_id), events_key(job_id)
        pipeline.eval(_NOTE_END, len(keys), *keys, MOST_EVENTS, 1000 * OPEN_TTL_S, job_id, *_ENDS)
    gone = pipeline.execute()
    return [job_id for job_id, is_gone in zip(job_ids, gone, strict=True) if is_gone]
