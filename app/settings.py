"""Settings of the HTTP side."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork
from pydantic_core import PydanticCustomError

from contract.errors import BadSetting
from contract.request import ModelId
from contract.settings import HostPattern, WebhookSettings, Words


def _alias(text: str) -> str:
    if re.fullmatch(r"[^=]+(=[^=]+)?", text) is None:
        raise PydanticCustomError("alias", "must be names, such as dall-e-3=large or gpt-image-*")
    return text


def _who_may_ask(keys: object) -> object:
    if keys not in (None, "required", "off"):  # nor shown: it may be a key
        raise PydanticCustomError(
            "keys",
            "must be 'required' or 'off': set it to required, and make keys with `darkroom keys "
            "add NAME`; or to off, to let everybody in who reaches the API",
        )
    return keys


class AppSettings(WebhookSettings):
    host: Annotated[str, Field(min_length=1, description="Address that the API listens on.")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port that the API listens on; 0 takes a free one.")
    ] = 8000
    keys: Annotated[
        Literal["required", "off"] | None,
        BeforeValidator(_who_may_ask),
        Field(
            description="`required` lets in who sends an API key (`darkroom keys add`), `off` "
            "everybody. Default: `off` on a loopback address; on another one the API does not "
            "start until this is set."
        ),
    ] = None
    allowed_hosts: Annotated[
        Words[HostPattern],
        Field(
            description="Names by which an API without keys may be asked, such as "
            "`darkroom.example.com, *.lan`, beside its addresses, names without a dot, and those "
            "in `DARKROOM_HOST` and `DARKROOM_PUBLIC_URL`."
        ),
    ] = ()
    max_connections: Annotated[
        int,
        Field(
            ge=1,
            description="How many clients may be connected to a process before 503; whoever "
            "follows events is one.",
        ),
    ] = 10_000
    keep_alive_s: Annotated[
        int,
        Field(
            ge=1,
            description="How long a connection that asks nothing is kept; longer than a proxy in "
            "front keeps it, so that the API is not the one to hang up.",
        ),
    ] = 75
    grace_s: Annotated[
        int,
        Field(ge=0, description="How long requests may take to end once the process is to stop."),
    ] = 10
    trusted_proxies: Annotated[
        Words[IPvAnyNetwork],
        Field(
            description="Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are "
            "believed, such as `10.0.0.5, 10.1.0.0/16`. Default: none."
        ),
    ] = ()
    hsts_s: Annotated[
        int,
        Field(
            ge=0,
            description="`max-age` of the header Strict-Transport-Security, for an API that is "
            "reached by https alone; 0 leaves it to the proxy.",
        ),
    ] = 0
    access_log: Annotated[bool, Field(description="Whether each request is a line in the log.")] = (
        False
    )
    default_model: Annotated[
        ModelId | None,
        Field(
            description="Model of a request that names none. Needed only where several are served."
        ),
    ] = None
    openai_models: Annotated[
        Words[Annotated[str, AfterValidator(_alias)]],
        Field(
            description="Names under `/v1` that stand for the default model, `*` for any "
            "characters, or for the one after a `=`, as in `dall-e-3=large, gpt-image-*`."
        ),
    ] = ("gpt-image-*", "chatgpt-image-*", "dall-e-*")
    max_queue: Annotated[
        int, Field(ge=1, description="How many jobs may wait for one model before 503.")
    ] = 10_000
    max_queue_s: Annotated[
        float | None,
        Field(
            gt=0,
            description="How many seconds of work, as estimated, may wait for one model before "
            "429. Default: any number.",
        ),
    ] = None
    queue_ttl_s: Annotated[
        int,
        Field(
            ge=1,
            description="How long a job may wait for a worker, in seconds; one that is taken later "
            "fails with `deadline_exceeded`.",
        ),
    ] = 3600
    max_wait_s: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="Longest wait of a POST with `Prefer: wait` and of a poll with `wait`, in "
            "seconds.",
        ),
    ] = 60
    metadata: Annotated[
        bool,
        Field(
            description="Whether pictures carry their parameters, where the request does not say."
        ),
    ] = True
    share_finished: Annotated[
        bool,
        Field(
            description="Whether a request is also answered from what was finished for another key."
        ),
    ] = False

    @property
    def needs_keys(self) -> bool:
        return self.keys == "required"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can ask."""
        return _is_loopback(self.host)

    def require_keys_or_loopback(self) -> None:
        """
        Raises:
            BadSetting: others than this machine could ask, and nobody said that they may.
        """
        if self.keys is None and not self.is_loopback:
            raise BadSetting(
                f"DARKROOM_KEYS: the API would listen on {self.host}, where other machines may "
                "reach it. Set it to required, and make keys with `darkroom keys add NAME`; or to "
                "off, to let everybody in."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
