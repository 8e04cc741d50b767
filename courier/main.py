"""The courier process."""

import logging

from contract.connections import START_PATIENCE_S, connect, require_redis
from contract.errors import BadSetting
from contract.webhooks import webhook_queue
from courier.courier_worker import CourierWorker
from courier.settings import CourierSettings
from courier.tasks import witness

logger = logging.getLogger(__name__)


def run_courier(settings: CourierSettings) -> None:
    """Delivers webhooks until a signal asks for the end.

    Raises:
        BadSetting: there is no secret to sign with, or no Redis, or traces cannot be made.
    """
    if not settings.signing_keys:
        raise BadSetting(
            "DARKROOM_WEBHOOK_SECRET: webhooks are signed, so set it to what the API has: whsec_ "
            "and the base64 of 24 to 64 random bytes."
        )
    told_by = witness()
    connection = connect(settings.redis_url, timeout_s=CourierWorker.connection_timeout)
    require_redis(connection, START_PATIENCE_S)
    try:
        worker = CourierWorker(webhook_queue(connection), settings.webhook_threads)
        logger.info("%s delivers webhooks", worker.name)
        worker.work()
    finally:
        connection.close()
        told_by.close()
