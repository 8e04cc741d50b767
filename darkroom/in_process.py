"""A picture made in this process, without a service."""

import hashlib
from collections.abc import Callable

from contract import identity
from contract.job import JobResult
from contract.request import GenerateRequest
from contract.resolution import resolve
from contract.settings import load_settings
from worker.alone import develop_alone
from worker.announcement import model_card
from worker.development import Development
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.tables import TableCache


def develop_here(
    request: GenerateRequest, tell: Callable[[str, int], None]
) -> tuple[JobResult, list[bytes]]:
    """What came of it, and the pictures.

    Args:
        tell: told what is being done, and how many steps of it are.

    Raises:
        DarkroomError: the checkpoint cannot be loaded, or not do what is asked, or failed.
    """
    tell("loading the model", 0)
    settings = load_settings(WorkerSettings)
    if settings.fixed_rows is None:  # which are to be the same as in a worker
        settings = settings.model_copy(update={"max_rows": 2 * request.images})
    engine = start_engine(settings)
    resolved = resolve(request, model_card(engine, settings))
    development = Development(identity.new_job_id(), resolved)
    pictures: dict[str, bytes] = {}

    def keep(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        pictures[digest] = content
        return digest

    tell("developing", 0)
    result = develop_alone(
        engine,
        TableCache(engine.model.scheduler_config),
        development,
        keep,
        lambda share: tell("developing", int(share * request.steps)),
    )
    return result, [pictures[image.sha256] for image in result.images]
