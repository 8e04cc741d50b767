"""The other processes of the service, as they announced themselves."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version

from redis import Redis
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from app.settings import AppSettings
from contract.keys import known_keys
from contract.queue import depth, model_queue
from contract.version import CONTRACT_VERSION
from contract.webhooks import webhook_queue
from contract.workers import WorkerCard, known_models, live_workers
from darkroom.doctor.finding import Finding, detail, ok, warn

START = "Start one: `darkroom worker`; what is asked for meanwhile waits."


def check_fleet(connection: Redis) -> Iterator[Finding]:
    workers = live_workers(connection)
    if not workers:
        yield warn("No worker lives.", START)
    for worker in workers:
        yield ok(
            f"Worker {worker.name} on {worker.host} lives: model {worker.model}, {worker.device}, "
            f"{worker.dtype}, release {worker.version or 'unknown'}, contract "
            f"{worker.contract}."
        )
    yield from _versions(workers)
    yield from _queues(connection, {worker.model for worker in workers})


def _versions(workers: Sequence[WorkerCard]) -> Iterator[Finding]:
    older = [worker.name for worker in workers if worker.contract < CONTRACT_VERSION]
    if older:
        yield warn(
            f"{', '.join(older)} know an older contract, and leave what this release asks for.",
            "Upgrade the workers; jobs wait for those that are upgraded.",
        )
    releases = sorted(
        {worker.version or "one unknown" for worker in workers} | {version("darkroom")}
    )
    if len(releases) > 1:
        yield warn(
            f"Several releases run, this one among them: {', '.join(releases)}.",
            "Finish the upgrade: workers first, then the API.",
        )


def _queues(connection: Redis, served: set[str]) -> Iterator[Finding]:
    for model in known_models(connection):
        waiting = depth(model_queue(connection, model))
        if waiting and model not in served:
            yield warn(f"{waiting} jobs wait for model {model}, and no worker of it lives.", START)
        else:
            yield detail(f"{waiting} jobs wait for model {model}.")


def check_api(settings: AppSettings, connection: Redis) -> Iterator[Finding]:
    """What the API relies on beside the workers."""
    if settings.needs_keys and not known_keys(connection):
        yield warn(
            "DARKROOM_KEYS is required, and there are no keys: nobody can ask.",
            "Make one: `darkroom keys add NAME`.",
        )
    models = known_models(connection)
    if settings.default_model is not None and settings.default_model not in models:
        yield warn(
            f"DARKROOM_DEFAULT_MODEL is {settings.default_model}, which no worker has announced.",
            f"Set it to one of {', '.join(models) or 'those that a worker has'}, or start a worker "
            "that has it.",
        )
    couriers = WORKERS_BY_QUEUE_KEY % webhook_queue(connection).name
    if settings.signing_keys and not connection.scard(couriers):
        yield warn(
            "DARKROOM_WEBHOOK_SECRET is set, so webhooks are taken, but nothing delivers them.",
            "Start `darkroom webhooks`.",
        )
