"""Settings that both sides read, and how a wrong one stops the start."""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError
from redis import ConnectionPool

from contract.destinations import Destinations
from contract.errors import BadSetting

PREFIX = "DARKROOM_"

SECRETS = Path("/run/secrets")
"""Where Docker and Kubernetes lay out files that only a container's processes read."""

SECRET_PREFIX = "whsec_"

_FORMS = {"decode_responses", "legacy_responses"}
"""Options of redis-py that give what is read another type."""

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


def _redis_url(url: str) -> str:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise PydanticCustomError("redis_url", "must be redis://…, rediss://… or unix://…")
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise PydanticCustomError("redis_url", "must end in the number of a database, as in …/0")
    if options.get("protocol") == ["3"] or not _FORMS.isdisjoint(options):
        raise PydanticCustomError(
            "redis_url",
            "must not change the form of answers: no protocol=3, decode_responses or "
            "legacy_responses",
        )
    try:
        ConnectionPool.from_url(url).make_connection()  # which connects to nothing yet
    except (TypeError, ValueError) as error:  # whose text may hold a part of a password
        raise PydanticCustomError(
            "redis_url",
            "must be as in redis://default:PASSWORD@HOST:6379/0, the password percent-encoded, and "
            "options after a ? such as redis-py has",
        ) from error
    return url


def _store_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return _redis_url(url)
    if not parts.query and not parts.fragment:
        if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
            return url
        if parts.scheme == "s3" and parts.netloc:
            return url
    raise PydanticCustomError(
        "store_url", "must be redis://…, file:///an/absolute/folder or s3://bucket/prefix"
    )


def words(value: object) -> object:
    """A setting of several values is written as one line, with commas or spaces in between."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


WordT = TypeVar("WordT")
Words = Annotated[tuple[WordT, ...], NoDecode, BeforeValidator(words)]
"""Several values, which the environment has in one line."""


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _secrets(text: SecretStr) -> SecretStr:
    _signing_keys(text)
    return text


def _signing_keys(text: SecretStr) -> tuple[bytes, ...]:
    words = text.get_secret_value().replace(",", " ").split()
    return tuple(_signing_key(word) for word in words)


def _signing_key(secret: str) -> bytes:
    prefix, encoded = secret[: len(SECRET_PREFIX)], secret[len(SECRET_PREFIX) :]
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        key = b""
    if prefix != SECRET_PREFIX or not 24 <= len(key) <= 64:
        raise PydanticCustomError(
            "webhook_secret", "must be whsec_ and the base64 of 24 to 64 random bytes"
        )
    return key


def _host_pattern(host: str) -> str:
    if _HOST.fullmatch(host.lower()) is None:
        raise PydanticCustomError("host", "must be hosts such as example.com or *.example.com")
    return host.lower()


def _collector_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or not _has_port(parts)):
        raise PydanticCustomError("collector_url", "must be http://… or https://…")
    return url


def _has_port(parts: SplitResult) -> bool:
    """Whether its port, if it names one, can be."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
        raise PydanticCustomError("public_url", "must be http://… or https://…")
    return url.rstrip("/")


StoreUrl = Annotated[str, AfterValidator(_store_url)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]


class CommonSettings(BaseSettings):
    """Read from the environment once, in `main`, and passed on from there."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True
    )

    redis_url: Annotated[
        str,
        AfterValidator(_redis_url),
        Field(
            validation_alias="REDIS_URL",
            description="The Redis that holds the queue.",
        ),
    ] = "redis://127.0.0.1:6379/0"
    pictures: Annotated[
        StoreUrl | None,
        Field(
            description="Where pictures are kept: another `redis://…`, `file:///…` or `s3://…`. "
            "Default: in `REDIS_URL`."
        ),
    ] = None
    result_ttl_s: Annotated[
        int,
        Field(ge=1, description="How long an ended job and its pictures are kept, in seconds."),
    ] = 3600
    otlp_endpoint: Annotated[
        str,
        AfterValidator(_collector_url),
        Field(
            validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
            description="A collector of OpenTelemetry, such as `http://collector:4318`, which is "
            "sent a trace of each request and job; needs the extra `otel`. Default: no traces.",
        ),
    ] = ""
    otlp_traces_endpoint: Annotated[
        str,
        AfterValidator(_collector_url),
        Field(
            validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            description="The same, for traces alone and with its whole path.",
        ),
    ] = ""
    otel_sdk_disabled: Annotated[
        str,
        BeforeValidator(lower),
        Field(
            validation_alias="OTEL_SDK_DISABLED",
            description="`true` makes no traces, whatever the endpoint.",
        ),
    ] = ""
    traces_exporter: Annotated[
        str,
        BeforeValidator(lower),
        Field(
            validation_alias="OTEL_TRACES_EXPORTER",
            description="`none` makes no traces, whatever the endpoint. Default: `otlp`.",
        ),
    ] = ""
    otlp_protocol: Annotated[
        str,
        BeforeValidator(lower),
        Field(
            validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL",
            description="Traces are sent by `http/protobuf` alone. Default: that.",
        ),
    ] = ""
    otlp_traces_protocol: Annotated[
        str,
        BeforeValidator(lower),
        Field(
            validation_alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            description="The same, for traces alone.",
        ),
    ] = ""
    revision: Annotated[
        str,
        Field(
            max_length=64,
            description="The source that this is built from, for `darkroom_build_info`; the images "
            "set it.",
        ),
    ] = ""

    @property
    def traces_url(self) -> str | None:
        """Where traces are sent; None where there are to be none."""
        if self.otel_sdk_disabled.strip() == "true" or self.traces_exporter == "none":
            return None
        base = self.otlp_endpoint
        return self.otlp_traces_endpoint or (f"{base.rstrip('/')}/v1/traces" if base else None)

    def require_known_export(self) -> None:
        """
        Raises:
            BadSetting: traces are to be sent by other means than ours.
        """
        if self.traces_url is None:
            return
        if self.traces_exporter not in ("", "otlp"):
            raise BadSetting(
                f"OTEL_TRACES_EXPORTER: {self.traces_exporter} is not there. Set it to otlp, to "
                "none for no traces, or unset it."
            )
        name, protocol = "OTEL_EXPORTER_OTLP_PROTOCOL", self.otlp_protocol
        if self.otlp_traces_protocol:
            name, protocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", self.otlp_traces_protocol
        if protocol not in ("", "http/protobuf"):
            raise BadSetting(
                f"{name}: traces are not sent by {protocol}. Set it to http/protobuf or unset it, "
                "and let the endpoint name the collector's port for HTTP, which is mostly 4318."
            )


class WebhookSettings(CommonSettings):
    """What the API must know of webhooks to accept one, and the courier to deliver it."""

    webhook_secret: Annotated[
        SecretStr,
        AfterValidator(_secrets),
        Field(
            description="Signs webhooks: `whsec_` and the base64 of 24 to 64 random bytes. Two of "
            "them while one replaces the other. Default: none, and then no webhook is taken."
        ),
    ] = SecretStr("")
    webhook_hosts: Annotated[
        Words[HostPattern],
        Field(
            description="Hosts that webhooks may go to, such as `example.com, *.example.org`. "
            "Default: any."
        ),
    ] = ()
    webhook_networks: Annotated[
        Words[IPvAnyNetwork],
        Field(
            description="Networks that webhooks may go to although they are not public, such as "
            "`10.1.0.0/16`. Default: none."
        ),
    ] = ()
    public_url: Annotated[
        str,
        AfterValidator(_public_url),
        Field(
            description="Where callers reach the API, for links. Default: links in webhooks are "
            "without a host, those of `/v1` with the one that was asked."
        ),
    ] = ""

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The first signs first; none where webhooks are off."""
        return _signing_keys(self.webhook_secret)

    @property
    def destinations(self) -> Destinations:
        return Destinations(self.webhook_hosts, self.webhook_networks)


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(settings_class: type[SettingsT], **overrides: object) -> SettingsT:
    """The settings of a process; an override that is None counts as not given. What the environment
    does not say may stand in a file of the setting's name among the secrets.

    Raises:
        BadSetting: names each setting at fault, as the environment spells it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    secrets = SECRETS if SECRETS.is_dir() else None
    try:
        return settings_class(_secrets_dir=secrets, **given)  # type: ignore[arg-type]
    except SettingsError as error:
        raise BadSetting(
            f"{SECRETS}: a file there cannot be read, so let the user of this process read it, and "
            f"let it be text: {error.__cause__}"
        ) from error
    except ValidationError as error:
        faults = [
            f"{environment_name(settings_class, str(fault['loc'][0]))}: {_said(fault['msg'])}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise BadSetting("; ".join(faults)) from error


def secret_names() -> list[str]:
    """What stands in a file among the secrets, as the environment would spell it."""
    return [file.name.upper() for file in SECRETS.iterdir()] if SECRETS.is_dir() else []


def _said(message: str) -> str:
    """In our words: what pydantic calls an input is a setting here."""
    return re.sub(r"^(Input|String|Value) should ", "must ", message)


def environment_name(settings_class: type[BaseSettings], field: str) -> str:
    """The environment variable behind a field (or behind its alias, which pydantic reports)."""
    info = settings_class.model_fields.get(field)
    if info is None:
        return field
    return str(info.validation_alias or f"{PREFIX}{field.upper()}")
