"""The worker process."""

import logging
import sys

from contract.connections import START_PATIENCE_S, connect, require_redis
from contract.pictures.opening import open_store
from contract.queue import model_queue
from contract.request import GenerateRequest
from contract.tracing import open_spans
from worker.announcement import model_card, worker_card
from worker.batch_worker import BatchWorker
from worker.job_ends import JobEnds
from worker.metrics import WorkerMetrics, require_address
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.start_phases import StartPhases, process_age_s
from worker.tables import TableCache

SWITCH_INTERVAL_S = 0.001
"""A table that is read in a thread must not hold up each of a step's many small calls for the
5 ms that Python would let it."""

logger = logging.getLogger(__name__)


def run_worker(settings: WorkerSettings) -> None:
    """Loads the model and works until a signal asks for the end.

    Raises:
        StartupError: a setting or the checkpoint is wrong.
    """
    phases = StartPhases()
    phases.add("import", process_age_s() or 0.0)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with phases.phase("services"):
        spans = open_spans(settings, "darkroom-worker")
        connection = connect(settings.redis_url, timeout_s=BatchWorker.connection_timeout)
        require_redis(connection, START_PATIENCE_S)
        # What is wrong is said before the model is loaded.
        open_store(settings, connection).close()
        require_address(settings.metrics_host, settings.metrics_port)
    engine = start_engine(settings, phases)
    with phases.phase("samplers"):
        tables = TableCache(engine.model.scheduler_config)
        _prepare_default(tables)
        model = model_card(engine, settings)
    metrics = WorkerMetrics(engine, tables, settings.revision, phases)
    logger.info("started in %.1f s: %s", phases.total_s, phases)
    # Probes take whoever answers here for a worker that is there: what takes time comes before.
    server, port = metrics.serve(settings.metrics_host, settings.metrics_port)
    try:
        queue = model_queue(connection, engine.model.name)
        cards = worker_card(engine, settings, port), model
        ends = JobEnds(spans, with_prompts=settings.log_prompts)
        worker = BatchWorker(queue, engine, tables, metrics, settings, *cards, ends)
        logger.info("worker %s takes jobs of model %s", worker.name, engine.model.name)
        worker.work()
    finally:
        server.shutdown()
        server.server_close()
        connection.close()
        if spans is not None:
            spans.close()


def _prepare_default(tables: TableCache) -> None:
    """The table that most requests want, so that the first of them need not wait for it."""
    fields = GenerateRequest.model_fields
    tables.build(fields["sampler"].default, fields["steps"].default)
