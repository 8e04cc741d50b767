"""Whether the webhook of a request may be sent at all, as far as its URL tells."""

from urllib.parse import urlsplit

from app.settings import AppSettings
from contract.destinations import is_local_name, literal_address
from contract.errors import InvalidRequest
from contract.request import GenerateRequest

FIELD = "webhook"


def require_callable(asked: GenerateRequest, settings: AppSettings) -> None:
    """A name is not resolved here: what it stands for is looked at when it is connected to.

    Raises:
        InvalidRequest: webhooks are off, or none may go there.
    """
    if asked.webhook is None:
        return
    if not settings.signing_keys:
        raise InvalidRequest(
            "This service sends no webhooks: its operator has set no DARKROOM_WEBHOOK_SECRET.",
            field=FIELD,
        )
    destinations = settings.destinations
    host = urlsplit(asked.webhook).hostname or ""
    if not destinations.allows_host(host):
        raise InvalidRequest(
            f"No webhook may go to {host}; hosts that it may go to are "
            f"{', '.join(destinations.hosts)}.",
            field=FIELD,
            allowed=list(destinations.hosts),
        )
    address = literal_address(host)
    is_private = address is not None and not destinations.allows_address(address)
    if is_private or (is_local_name(host) and not destinations.networks):
        raise InvalidRequest(
            f"No webhook may go to {host}, which is not a public address.", field=FIELD
        )
