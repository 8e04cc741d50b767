"""Settings that both sides read, and how a wrong one stops the start."""

from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.errors import BadSetting

PREFIX = "DARKROOM_"


def _store_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return url
    if not parts.query and not parts.fragment:
        if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
            return url
        if parts.scheme == "s3" and parts.netloc:
            return url
    raise PydanticCustomError(
        "store_url", "must be redis://…, file:///an/absolute/folder or s3://bucket/prefix"
    )


StoreUrl = Annotated[str, AfterValidator(_store_url)]


class CommonSettings(BaseSettings):
    """Read from the environment once, in `main`, and passed on from there."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True
    )

    redis_url: Annotated[
        str,
        Field(
            validation_alias="REDIS_URL",
            pattern=r"^(rediss?|unix)://",
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


SettingsT = TypeVar("SettingsT", bound=CommonSettings)


def load_settings(settings_class: type[SettingsT], **overrides: object) -> SettingsT:
    """The settings of a process; an override that is None counts as not given.

    Raises:
        BadSetting: names each setting at fault, as the environment spells it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return settings_class(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = [
            f"{environment_name(settings_class, str(fault['loc'][0]))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise BadSetting("; ".join(faults)) from error


def environment_name(settings_class: type[CommonSettings], field: str) -> str:
    """The environment variable behind a field (or behind its alias, which pydantic reports)."""
    info = settings_class.model_fields.get(field)
    if info is None:
        return field
    return str(info.validation_alias or f"{PREFIX}{field.upper()}")
