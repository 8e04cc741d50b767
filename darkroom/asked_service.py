"""The service that a command asks."""

from dataclasses import dataclass

from app.settings import AppSettings
from contract.settings import load_settings
from darkroom.address import local_url
from darkroom.client.errors import ClientError
from darkroom.client.retries import Retries
from darkroom.client.sync_client import Client
from darkroom.settings import ClientSettings

BRIEF = Retries(attempts=2)
"""For whoever sits before a terminal and would rather know."""

QUICK_S = 1.0  # for a service on this machine


@dataclass(frozen=True, slots=True)
class AskedService:
    url: str
    key: str | None
    is_named: bool
    """Whether the caller said which service; else it is where this machine's would be."""

    @classmethod
    def of(cls, url: str | None, key: str | None) -> "AskedService":
        """What options and environment say; what is empty says nothing.

        Raises:
            BadSetting: they say what cannot be.
        """
        settings = load_settings(ClientSettings, url=url, key=key)
        secret = settings.key.get_secret_value() if settings.key is not None else ""
        if settings.url:
            return cls(settings.url, secret or None, is_named=True)
        own = load_settings(AppSettings)
        return cls(local_url(own.host, own.port), secret or None, is_named=False)

    def client(self, retries: Retries | None = None) -> Client:
        """
        Raises:
            BadAddress: the URL or the key cannot be used.
        """
        return Client(self.url, key=self.key, retries=retries)

    def is_up(self) -> bool:
        """Whether a darkroom with a live worker answers there."""
        once = Retries(attempts=1)
        try:
            with Client(self.url, retries=once, timeout_s=QUICK_S) as client:
                return bool(client.workers())
        except ClientError:
            return False

    def require_reachable(self) -> None:
        """Before anything is asked of it with patience.

        Raises:
            ClientError: nothing answers there, or no darkroom.
        """
        with self.client(BRIEF) as client:
            client.workers()
