"""The log of a process: lines for people, or JSON for programs."""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.settings import PREFIX, lower

HUMAN_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
QUIET: Mapping[str, int] = {
    "httpx": logging.WARNING,  # these three log each request
    "httpcore": logging.WARNING,
    "urllib3": logging.WARNING,
    "PIL": logging.INFO,  # it logs what it writes into a picture, and so the prompt
    "opentelemetry.exporter": logging.ERROR,  # it logs each of its attempts
    "opentelemetry.trace.propagation": logging.ERROR,  # it logs what callers send
}

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\\n",
    0x2028: "\\u2028",  # these two end a line as well, for some
    0x2029: "\\u2029",
}


class LogSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    log_format: Annotated[
        Literal["human", "json"],
        BeforeValidator(lower),
        Field(description="`human`, or `json` for one JSON object per line."),
    ] = "human"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lower),
        Field(description="What is logged at least: `debug`, `info`, `warning` or `error`."),
    ] = "info"


class HumanLines(logging.Formatter):
    """One line, whatever it tells of, and below it the traceback where there is one."""

    def __init__(self) -> None:
        super().__init__(HUMAN_LINE)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(_CONTROLS)


class JsonLines(logging.Formatter):
    """One object. What a sentence names (`logger.info("%(n)d jobs", {"n": 3})`) are keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):
            for name, value in record.args.items():
                line.setdefault(str(name), value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def write_log(settings: LogSettings) -> None:
    """To standard error, in a process that has just begun."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format == "json" else HumanLines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    least = logging.getLogger().level
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, least))
    if settings.log_format == "json":
        _log_what_python_writes()


def _log_what_python_writes() -> None:
    """Warnings, and errors that nobody caught."""
    logging.captureWarnings(True)
    logger = logging.getLogger(__name__)

    def died(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        logger.critical("the process ends", exc_info=(kind, error, traceback))

    def thread_died(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "unknown"
        logger.error("the thread %s has ended", name, exc_info=args.exc_value)

    def not_raised(args: Any) -> None:
        error = args.exc_value
        exc_info = (args.exc_type, error, args.exc_traceback) if error is not None else None
        logger.error("%s %r", args.err_msg or "ignored in", args.object, exc_info=exc_info)

    sys.excepthook = died
    sys.unraisablehook = not_raised
    threading.excepthook = thread_died
