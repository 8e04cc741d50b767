"""`darkroom doctor`: everything that can be looked at from here, one thing after the other."""

import sys
from collections.abc import Iterator
from typing import TypeVar

import redis
from redis import Redis

from app.settings import AppSettings
from contract.connections import connect
from contract.errors import BadSetting
from contract.settings import CommonSettings, load_settings
from darkroom.doctor import report
from darkroom.doctor.checkpoint_check import check_checkpoint
from darkroom.doctor.device_check import can_compute, check_device
from darkroom.doctor.disk_check import check_disk
from darkroom.doctor.finding import Finding, Level, fail
from darkroom.doctor.fleet_check import check_api, check_fleet
from darkroom.doctor.limits_check import check_limits
from darkroom.doctor.parts import Part
from darkroom.doctor.reach_check import check_reach
from darkroom.doctor.redis_check import REFUSALS, check_redis, refusal
from darkroom.doctor.report import Chapter
from darkroom.doctor.settings_check import check_settings, shown
from darkroom.doctor.store_check import check_store
from darkroom.exit_codes import ExitCode
from darkroom.settings import ClientSettings
from worker.settings import WorkerSettings

TIMEOUT_S = 2.0
ANY_REDIS = "redis://127.0.0.1"  # for what asks none, where REDIS_URL is wrong
AWAY = "Start Redis, or let REDIS_URL name where it is."
AWAY_BY_TLS = (
    "Start Redis, or let REDIS_URL name where it is, and a port of it that speaks TLS "
    "(`tls-port`); redis:// asks without TLS."
)
PASSWORD = "Put it into REDIS_URL, as in redis://default:PASSWORD@HOST:6379/0."
NOT_LET_IN = (AWAY, AWAY_BY_TLS, PASSWORD, REFUSALS["DB index"][1])
"""The remedies where nothing can be asked of Redis."""

SettingsT = TypeVar("SettingsT", bound=CommonSettings)


def run_doctor(part: Part, *, as_json: bool, with_details: bool) -> ExitCode:
    """Looks at what a part of the service needs, and says what is wrong and how to mend it."""
    chapters = [(about, found) for about, found in _examined(part) if found]
    if as_json:
        report.write_json(chapters)
    else:
        report.write_text(chapters, with_details)
    sys.stdout.flush()
    return ExitCode.FAILED if report.worst(chapters) is Level.FAIL else ExitCode.DONE


def _examined(part: Part) -> Iterator[Chapter]:
    yield "settings", list(check_settings(part))
    common = _settings(CommonSettings)
    connection = None
    if common is not None:
        connection = connect(common.redis_url, timeout_s=TIMEOUT_S)
        yield from _kept(part, common, connection)
    worker = _settings(WorkerSettings) or _settings(WorkerSettings, redis_url=ANY_REDIS)
    if part.has(Part.WORKER) and worker is not None:
        is_needed = part is Part.WORKER
        if is_needed or can_compute():
            yield "checkpoint", list(check_checkpoint(worker.checkpoint))
        yield "device", list(check_device(worker, is_needed))
    api = _settings(AppSettings) or _settings(AppSettings, redis_url=ANY_REDIS)
    asked = _settings(ClientSettings) or _settings(ClientSettings, redis_url=ANY_REDIS)
    if part.has(Part.API) and api is not None and asked is not None:
        yield "limits", list(check_limits(api))
        yield "address", list(check_reach(asked))


def _kept(part: Part, settings: CommonSettings, connection: Redis) -> Iterator[Chapter]:
    """Redis, and what can only be asked of it."""
    found = list(_redis(settings, connection))
    yield "redis", found
    if found[-1].remedy in NOT_LET_IN:
        yield "disk", list(check_disk(settings, None))
        return
    if part is not Part.WEBHOOKS:
        yield "pictures", list(check_store(settings, connection))
    yield "disk", list(check_disk(settings, connection))
    if part is not Part.WEBHOOKS:
        yield "fleet", list(_fleet(part, connection))


def _redis(settings: CommonSettings, connection: Redis) -> Iterator[Finding]:
    where = shown("REDIS_URL", settings.redis_url)
    try:
        yield from check_redis(connection)
    except redis.AuthenticationError as error:
        yield fail(f"REDIS_URL: Redis wants another password: {_said(error)}.", PASSWORD)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        remedy = AWAY_BY_TLS if settings.redis_url.startswith("rediss://") else AWAY
        yield fail(f"REDIS_URL: no Redis answers at {where}: {_said(error)}.", remedy)
    except redis.RedisError as error:
        yield refusal(error)


def _fleet(part: Part, connection: Redis) -> Iterator[Finding]:
    settings = _settings(AppSettings)
    try:
        yield from check_fleet(connection)
        if part.has(Part.API) and settings is not None:
            yield from check_api(settings, connection)
    except redis.RedisError as error:
        yield refusal(error)


def _said(error: Exception) -> str:
    return str(error).rstrip(".")


def _settings(settings_class: type[SettingsT], **overrides: object) -> SettingsT | None:
    """None where they are wrong, which is said elsewhere."""
    try:
        return load_settings(settings_class, **overrides)
    except BadSetting:
        return None
