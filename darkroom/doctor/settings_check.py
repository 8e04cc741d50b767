"""The settings: which are set, which are wrong, and which are nobody's."""

import difflib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic_settings import BaseSettings

from app.settings import AppSettings
from contract.errors import BadSetting
from contract.settings import PREFIX, CommonSettings, environment_name, load_settings, secret_names
from courier.settings import CourierSettings
from darkroom.doctor.finding import Finding, detail, fail, ok, warn
from darkroom.doctor.parts import READ, Part, names_of

HIDDEN = "****"
PASSWORD = re.compile(r"(?<=://)\S*@|(?<=password=)[^&\s]*")
SECRETS = ("DARKROOM_WEBHOOK_SECRET", "DARKROOM_KEY")
README = "see the table of settings in README.md"
REPLACE = f"Set it to what it takes, or unset it: {README}."


def check_settings(part: Part) -> Iterator[Finding]:
    read = [(name, *_read(name, *whose)) for name, whose in names_of(part).items()]
    wrong = dict(_wrong(READ[part]))
    for name, text, origin in read:
        said = f"{name} is {shown(name, text) if text else 'empty'}, by {origin}."
        if name in wrong:
            yield fail(f"{wrong.pop(name)}; it is {shown(name, text)}, by {origin}.", REPLACE)
        elif origin:
            yield ok(said) if text else detail(said)
    for fault in wrong.values():
        yield fail(f"{fault}.", REPLACE)
    yield ok(f"{sum(not origin for _, _, origin in read)} more settings have their defaults.")
    for name, text, origin in read:
        if not origin:
            yield detail(f"{name} is {shown(name, text)}, by default.")
    yield from _unknown()
    yield from _extras()
    yield from _other_traces()
    if part.has(Part.API):
        yield from _open_to_all()
    if part is Part.WEBHOOKS:
        yield from _unsigned()


def _read(name: str, settings_class: type[BaseSettings], field: str) -> tuple[str, str]:
    """What a setting is, as text, and by what; by nothing where it has its default."""
    if name in os.environ:
        return os.environ[name], "the environment"
    try:
        settings = load_settings(settings_class)
    except BadSetting:
        value = settings_class.model_fields[field].get_default(call_default_factory=True)
        return _text(value), ""
    origin = "a file among the secrets" if field in settings.model_fields_set else ""
    return _text(getattr(settings, field)), origin


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def shown(name: str, text: str) -> str:
    """A setting as others may see it."""
    if name in SECRETS and text:
        return HIDDEN
    hide = PASSWORD.sub(lambda found: HIDDEN + "@" * found[0].endswith("@"), text)
    return hide or "not set"


def _wrong(classes: Sequence[type[BaseSettings]]) -> Iterator[tuple[str, str]]:
    """Names, and what is wrong with them."""
    for settings_class in classes:
        try:
            load_settings(settings_class)
        except BadSetting as error:
            for fault in str(error).split("; "):
                yield fault.partition(":")[0], fault


def _unknown() -> Iterator[Finding]:
    known = names_of(Part.ALL)
    for name in sorted({*os.environ, *secret_names()}):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"Is {near[0]} meant? Else unset it" if near else "Unset it"
            yield warn(f"{name} is no setting, and nobody reads it.", f"{meant}: {README}.")


def _extras() -> Iterator[Finding]:
    """What settings ask for beyond what is always installed."""
    for wanted, module, extra in _wanted(os.environ):
        if not _is_installed(module):
            yield fail(
                f"{wanted} needs {module}, which is not installed here.",
                f"Install darkroom with its extra `{extra}`.",
            )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False


def _wanted(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    if environment.get("DARKROOM_PICTURES", "").startswith("s3://"):
        yield "DARKROOM_PICTURES", "obstore", "s3"
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        if environment.get(name):
            yield name, "opentelemetry.sdk", "otel"


def _other_traces() -> Iterator[Finding]:
    try:
        settings = load_settings(CommonSettings)
    except BadSetting:
        return
    try:
        settings.require_known_export()
    except BadSetting as error:
        said, _, remedy = str(error).partition(". ")
        yield fail(f"{said}.", remedy)


def _unsigned() -> Iterator[Finding]:
    try:
        settings = load_settings(CourierSettings)
    except BadSetting:
        return
    if not settings.signing_keys:
        yield fail(
            "DARKROOM_WEBHOOK_SECRET is not set, and webhooks are signed.",
            "Set the same for the API and for `darkroom webhooks`: `whsec_` and the base64 of 24 "
            "to 64 random bytes.",
        )


def _open_to_all() -> Iterator[Finding]:
    try:
        settings = load_settings(AppSettings)
    except BadSetting:
        return
    try:
        settings.require_keys_or_loopback()
    except BadSetting as error:
        said, _, remedy = str(error).partition(". ")
        yield fail(f"{said}.", remedy)
        return
    if settings.keys == "off" and not settings.is_loopback:
        yield warn(
            f"DARKROOM_KEYS is off, and the API listens on {settings.host}: whoever reaches it may "
            "ask for anything.",
            "Set it to required and make keys with `darkroom keys add NAME`, unless a proxy or a "
            "firewall says who may ask.",
        )
    name = environment_name(AppSettings, "public_url")
    if settings.signing_keys and not settings.public_url:
        yield warn(
            f"{name} is not set, so the links in webhooks are without a host.",
            "Set it to the address at which callers reach the API.",
        )
