"""The options of the load test, each with its bounds: a wrong one is one sentence that names it."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import httpx

from load_test.choices import PARSERS
from load_test.demand import PRESETS
from load_test.run import MOST_OPEN, TIMEOUT_S, USERS, WARM_UP_S, Plan

REQUESTS = 100  # of a closed loop that is not told
BAD_OPTION = 2  # exit status


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_OPTION, f"{message.removeprefix('argument ')}\n")


def above(limit: float) -> Callable[[str], float]:
    """A number above it, as argparse takes one."""

    def number_above(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not limit < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number above {limit:g}, not {text!r}")
        return value

    return number_above


def whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


def duration(text: str) -> float:
    """0 or more seconds."""
    with suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}")


def share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a share from 0 to 1, not {text!r}")


def address(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    is_plain = url.path in ("", "/") and not url.userinfo and not url.query
    if url.scheme not in ("http", "https") or not url.host or not is_plain:
        raise argparse.ArgumentTypeError(f"must be like http://127.0.0.1:8000, not {text!r}")
    return text.rstrip("/")


def key(text: str) -> str:
    """As a header can hold it; a wrong one is not repeated."""
    if not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError("(or DARKROOM_KEY) has characters that no key has")
    return text


def read_options(words: Sequence[str] | None, about: str) -> argparse.Namespace:
    """
    Args:
        about: what the command is, in its first line.
    """
    parser = Parser(description=about.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--url", required=True, type=address, help="the service")
    parser.add_argument(
        "--key",
        type=key,
        default=os.environ.get("DARKROOM_KEY"),
        help="API key, where the service needs one (default: DARKROOM_KEY)",
    )
    parser.add_argument("--model", help="default: the service's")
    _add_times(parser)
    _add_requests(parser)
    _add_manner(parser)
    _add_results(parser)
    chosen = parser.parse_args(words)
    if chosen.rate is not None:
        for name in ("users", "requests", "pace"):
            if getattr(chosen, name):
                parser.error(f"--{name}: is of users, who have no --rate.")
        if chosen.seconds is None:
            parser.error("--seconds: is needed with --rate.")
    return chosen


def _add_times(parser: Parser) -> None:
    group = parser.add_argument_group("when: an open loop with --rate, else a closed one")
    group.add_argument("--rate", type=above(0), help="requests a second, arriving at random")
    group.add_argument(
        "--users", type=whole, help=f"who each ask, wait and ask again (default: {USERS})"
    )
    group.add_argument("--seconds", type=above(0), help="in which requests that count are sent")
    group.add_argument("--requests", type=whole, help=f"of users, that count (default: {REQUESTS})")
    group.add_argument(
        "--pace",
        type=duration,
        default=0.0,
        metavar="SECONDS",
        help="a user means to ask each so many seconds (default: once the last job has ended)",
    )
    group.add_argument(
        "--warm-up",
        type=duration,
        default=WARM_UP_S,
        metavar="SECONDS",
        help="before it counts (default: %(default)g)",
    )


def _add_requests(parser: Parser) -> None:
    group = parser.add_argument_group("what: each VALUE[:WEIGHT], …, for all classes of the mix")
    group.add_argument(
        "--mix", default="mixed", help=f"{', '.join(PRESETS)}, or a TOML file (default: mixed)"
    )
    for name in PARSERS:
        group.add_argument(f"--{name}", metavar="VALUES")
    group.add_argument("--seed", type=int, default=0, help="of arrivals and requests")
    group.add_argument(
        "--fetch", action="store_true", help="pictures too, within the response time"
    )


def _add_manner(parser: Parser) -> None:
    group = parser.add_argument_group("how")
    group.add_argument(
        "--timeout",
        type=above(0),
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="after which a request is given up (default: %(default)g)",
    )
    group.add_argument(
        "--most-open",
        type=whole,
        default=MOST_OPEN,
        metavar="NUMBER",
        help="requests under way at a time (default: %(default)d)",
    )
    group.add_argument(
        "--sample",
        type=above(0),
        default=0.5,
        metavar="SECONDS",
        help="between looks at the metrics (default: %(default)g)",
    )
    group.add_argument(
        "--worker-metrics",
        type=address,
        nargs="*",
        metavar="URL",
        help="of workers; none to leave them alone (default: the service's on this machine)",
    )


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("what comes of it")
    group.add_argument("--report", type=Path, help="HTML file, or a folder for it and the JSON")
    group.add_argument("--json", type=Path, help="file for all figures")
    group.add_argument(
        "--objective",
        type=above(0),
        default=10.0,
        metavar="SECONDS",
        help="a response that is good enough (default: %(default)g)",
    )
    group.add_argument(
        "--require", type=share, metavar="SHARE", help="of good ones; below it, exit status 3"
    )


def plan_of(chosen: argparse.Namespace) -> Plan:
    is_closed = chosen.rate is None
    endless = is_closed and chosen.seconds is None and chosen.requests is None
    return Plan(
        rate=chosen.rate,
        users=chosen.users or USERS,
        seconds=chosen.seconds,
        requests=REQUESTS if endless else chosen.requests,
        pace_s=chosen.pace,
        warm_up_s=chosen.warm_up,
        timeout_s=chosen.timeout,
        most_open=chosen.most_open,
        fetch=chosen.fetch,
        seed=chosen.seed,
    )
