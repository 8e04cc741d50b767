"""The records of a job that waits, as RQ writes them.

RQ's own code writes them once, of a job that stands for all others like it. For each that comes its
own words are put in their places, which takes a fifth of the time.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from redis.client import Pipeline
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # differs from when the job is put into its queue


class Own(NamedTuple):
    """The words of a job that no other has."""

    key: Any
    id: str
    description: str
    data: bytes
    created_at: str
    enqueued_at: str


@dataclass(frozen=True, slots=True)
class Mould:
    words: Sequence[Any]
    gaps: Sequence[tuple[int, int]]  # a place in `words`, and which of the own words goes there

    @classmethod
    def of(cls, queue: Queue, job: Job) -> Self:
        """From a job that nobody asked for; nothing is sent anywhere."""
        job.created_at = LONG_AGO
        records = queue.connection.pipeline()
        queue.enqueue_job(job, pipeline=records)
        assert job.enqueued_at is not None
        assert job.description is not None
        own = Own(
            job.key,
            job.id,
            job.description,
            zlib.compress(job.data),
            utcformat(job.created_at),
            utcformat(job.enqueued_at),
        )
        words = words_of(records)
        gaps = [(place, own.index(word)) for place, word in enumerate(words) if word in own]
        return cls(words, gaps)

    def cast(self, own: Own) -> list[Any]:
        words = list(self.words)
        for place, which in self.gaps:
            words[place] = own[which]
        return words


def own_words(
    job_id: str, description: str, task: str, kwargs: dict[str, Any], created_at: datetime | None
) -> Own:
    created = created_at or now()
    data = zlib.compress(JSONSerializer.dumps((task, None, (), kwargs)))
    return Own(Job.key_for(job_id), job_id, description, data, utcformat(created), utcformat(now()))


def words_of(records: Pipeline) -> list[Any]:
    """The commands in a pipeline, of each first how many words it has, and then these."""
    return [word for args, _ in records.command_stack for word in (len(args), *args)]
