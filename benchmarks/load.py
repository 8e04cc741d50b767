"""Load on a running service, at a rate of its own or by users who wait, and a report of it.

    python benchmarks/load.py --url http://127.0.0.1:8000 --rate 2 --seconds 60 --mix short-long
    python benchmarks/load.py --url http://127.0.0.1:8000 --users 8 --requests 64 --report out.html

docs/load-testing.md says what each figure means. It asks no address but those that it is given.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from load_test.choices import PARSERS, BadOption, Card
from load_test.demand import Mix
from load_test.options import BAD_OPTION, plan_of, read_options
from load_test.page import number, page, percent, seconds
from load_test.progress import show
from load_test.report import figures
from load_test.run import Plan, Run
from load_test.service import Fault, Service
from load_test.watch import Watch, workers_here

SPARE_FILES = 64
NO_SERVICE, BELOW_BAR = 1, 3  # exit statuses
STOPS = (signal.SIGINT, signal.SIGTERM)
HINTS = {
    "not connected": "; start one with `make run`",
    "401 not_authenticated": "; it needs a key, as --key or DARKROOM_KEY",
}
Figures = dict[str, Any]


def told(plan: Plan, mix: Mix) -> str:
    if plan.rate is not None:
        who = f"{plan.rate:g} requests a second at random times for {plan.seconds:g} s"
    else:
        end = [f"{plan.requests} requests"] if plan.requests is not None else []
        end += [f"{plan.seconds:g} s"] if plan.seconds is not None else []
        pace = f", one each {plan.pace_s:g} s" if plan.pace_s else ""
        who = f"{plan.users} users{pace} for {' or '.join(end)}"
    return f"{who}, {mix.name} mix, after {plan.warm_up_s:g} s of warm-up"


def make_room(most_open: int) -> None:
    """Each connection is an open file. Raises BadOption where there may not be so many."""
    needed = most_open + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise BadOption(f"--most-open: {hard - SPARE_FILES} at most, by `ulimit -n`.")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def card_of(service: Service, model: str | None) -> Card:
    """Raises BadOption where there is no such model, or none, or something else answers."""
    try:
        models = (await service.told("/models"))["models"]
    except (ValueError, KeyError, TypeError):
        raise BadOption("--url: what answers there is no darkroom.") from None
    if not models:
        raise BadOption("--url: no worker of this service has told yet what it draws.")
    wanted = [each for each in models if (each["id"] == model if model else each["default"])]
    if not wanted:
        raise BadOption(f"--model: must be one of {', '.join(each['id'] for each in models)}.")
    return Card.of(wanted[0])


async def test(chosen: argparse.Namespace, mix: Mix, plan: Plan) -> Figures:
    """One run. Raises BadOption and Fault where it cannot begin."""
    async with Service(chosen.url, chosen.key) as service:
        card = await card_of(service, chosen.model)
        mix = mix.on(card)
        urls = chosen.worker_metrics
        urls = await workers_here(service, chosen.url) if urls is None else urls
        run = Run(service, card.id, mix, plan)
        watch = Watch(run, service, card.id, urls, chosen.sample)
        await under_watch(run, watch, plan)
        about = {
            "url": chosen.url,
            "model": card.id,
            "plan": told(plan, mix),
            "began": datetime.fromtimestamp(run.began_at, UTC).isoformat(timespec="seconds"),
            "seed": plan.seed,
            "mix": mix.told(),
            "client": f"Python {platform.python_version()}, httpx {httpx.__version__}",
        }
        return figures(run, watch, plan, about, chosen.objective)


async def under_watch(run: Run, watch: Watch, plan: Plan) -> None:
    """Ctrl-C, or a runner that has no more time, ends the run early; a second one everything."""
    loop = asyncio.get_running_loop()

    def leave_alone() -> None:
        for each in STOPS:
            loop.remove_signal_handler(each)

    def stop() -> None:
        run.stop()
        leave_alone()

    for each in STOPS:
        loop.add_signal_handler(each, stop)
    beside = [
        asyncio.create_task(watch.watch(plan.warm_up_s)),
        asyncio.create_task(show(run, plan)),
    ]
    try:
        await run.run()
    finally:
        leave_alone()
        for task in beside:
            task.cancel()
        results = await asyncio.gather(*beside, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    await watch.finish()


def is_folder(report: Path) -> bool:
    return report.is_dir() or not report.suffix


def make_place(option: str, path: Path | None) -> None:
    """Before the run and not after it. Raises BadOption where nothing can be written."""
    if path is None:
        return
    folder = path if option == "--report" and is_folder(path) else path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise BadOption(f"{option}: {folder} is no folder, and cannot be made one.") from None
    if not os.access(folder, os.W_OK):
        raise BadOption(f"{option}: nothing can be written to {folder}.")


def write(found: Figures, report: Path | None, json_file: Path | None) -> list[Path]:
    """The files that were written."""
    files: dict[Path, str] = {}
    if report is not None and is_folder(report):
        name = found["about"]["began"].split("+")[0].replace(":", "-")
        report, json_file = report / f"{name}.html", json_file or report / f"{name}.json"
    if report is not None:
        files[report] = page(found)
    if json_file is not None:
        files[json_file] = json.dumps(found, indent=2) + "\n"
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def say(found: Figures) -> None:
    asked, rates, goal = found["requests"], found["throughput"], found["objective"]
    print(f"{found['about']['plan']}\n")
    print(f"{asked['succeeded']} of {asked['counted']} requests succeeded", end="")
    print(f", {number(rates['pictures_per_s'] or 0)} pictures/s", end="")
    print(f", {percent(goal['share'] or 0)} within {seconds(goal['response_s'])}\n")
    columns = ("p50", "p90", "p95", "p99", "max")
    print(f"{'':34}" + "".join(f"{column:>10}" for column in columns))
    rows = {"response, from when it was meant": found["response_s"]}
    rows |= {"service, from when it was sent": found["service_s"]}
    rows |= {"acceptance": found["accept_s"]}
    for part, groups in found["by"].items():
        rows |= {f"  {part} {name}": each for name, each in groups.items()}
    for name, each in rows.items():
        cells = (seconds(each[column]) if each["count"] else "-" for column in columns)
        print(f"{name:34}" + "".join(f"{cell:>10}" for cell in cells))
    for code, count in found["errors"].items():
        print(f"{count:6} {code}")
    for code, count in found["refusals"].items():
        print(f"{count:6} {code}, tried again")
    for warning in found["warnings"]:
        print(f"\nWARNING: {warning}")


def main(words: Sequence[str] | None = None) -> int:
    chosen = read_options(words, __doc__)
    plan = plan_of(chosen)
    try:
        make_room(plan.most_open)
        make_place("--report", chosen.report)
        make_place("--json", chosen.json)
        mix = Mix.parse(chosen.mix, {name: getattr(chosen, name) for name in PARSERS})
        found = asyncio.run(test(chosen, mix, plan))
    except BadOption as error:
        print(error, file=sys.stderr)
        return BAD_OPTION
    except Fault as fault:
        print(f"--url: {chosen.url}: {fault.code}{HINTS.get(fault.code, '')}.", file=sys.stderr)
        return NO_SERVICE
    say(found)
    for path in write(found, chosen.report, chosen.json):
        print(f"\n{path}", end="")
    print()
    is_below = chosen.require is not None and (found["objective"]["share"] or 0) < chosen.require
    return BELOW_BAR if is_below else 0


if __name__ == "__main__":
    sys.exit(main())
