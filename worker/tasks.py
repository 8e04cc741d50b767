"""The function behind every job, for a stock `rq worker`: one job at a time, without our loop.

rq worker --worker-class rq.SimpleWorker --serializer rq.serializers.JSONSerializer QUEUE
"""

from collections.abc import Mapping
from functools import cache
from threading import Event
from typing import Any

from rq import get_current_job

from contract import holders
from contract.errors import DarkroomError
from contract.job import ERROR_FIELD, JobFault
from contract.origin import Origin
from contract.pictures.opening import open_store
from contract.pictures.store import digest_of
from contract.queue import job_request, require_in_time
from contract.resolution import check
from contract.settings import load_settings
from contract.version import require_known
from contract.workers import ModelCard
from worker.alone import develop_alone
from worker.announcement import model_card
from worker.development import Development
from worker.engine.engine import Engine
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.storeroom import Storeroom
from worker.tables import TableCache


def generate(
    request: Mapping[str, Any],
    deadline: float | None = None,
    received: float | None = None,
    traceparent: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Develops the pictures of the current RQ job and returns its `JobResult` as JSON.

    Args:
        others: the contract's version, and what may be left unread.
    """
    job = get_current_job()
    if job is None:
        raise RuntimeError("worker.tasks.generate runs inside an RQ worker only")
    settings, engine, tables, card = _studio()
    storeroom = Storeroom(open_store(settings, job.connection), closing=Event())
    told = {"received": received, "traceparent": traceparent}
    try:
        require_known(others)
        require_in_time({"deadline": deadline})
        asked, origin = job_request({"request": request}), Origin.of(told)
        check(asked, card)
        development = Development(job.id, asked, origin=origin)

        def keep(content: bytes) -> str:
            holders.hold_soon(job.connection, digest_of(content), job.id, settings.result_ttl_s)
            return storeroom.put(content)

        result = develop_alone(engine, tables, development, keep)
    except DarkroomError as error:
        job.retries_left = 0  # an honest failure is final
        job.connection.hset(job.key, ERROR_FIELD, JobFault.of(error).model_dump_json())
        raise
    finally:
        storeroom.close()
    return result.model_dump(mode="json")


@cache
def _studio() -> tuple[WorkerSettings, Engine, TableCache, ModelCard]:
    """A stock worker has no main of ours: the first job starts the engine for all."""
    settings = load_settings(WorkerSettings)
    engine = start_engine(settings)
    tables = TableCache(engine.model.scheduler_config)
    return settings, engine, tables, model_card(engine, settings)
