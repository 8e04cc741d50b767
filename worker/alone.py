"""One job by itself, from request to stored pictures, in the calling thread."""

import time
from collections.abc import Callable

from contract.job import JobResult
from worker.development import Development
from worker.engine.engine import Engine
from worker.tables import TableCache


def develop_alone(
    engine: Engine,
    tables: TableCache,
    development: Development,
    store: Callable[[bytes], str],
    progress: Callable[[float], None] = lambda share: None,
) -> JobResult:
    """Develops the job's pictures in an engine that has nothing else to do.

    Args:
        store: keeps the bytes of a picture and returns their digest.
        progress: told after each step how far the job is, from 0 to 1.

    Raises:
        GenerationError: a picture failed.
    """
    request = development.request
    for picture in development.pictures(tables.build(request.sampler, request.steps), engine):
        engine.add(picture)
    while True:
        report = engine.step()
        for spoiled in report.spoiled:
            engine.remove(development.keys)
            raise spoiled.error
        for developed in report.developed:
            development.note_developed(developed)
            content = development.encoded(developed)
            encoded_at = time.perf_counter()
            result = development.store(developed, store(content), len(content), encoded_at)
            if result is not None:
                return result
        progress(development.share(engine.progress()))
