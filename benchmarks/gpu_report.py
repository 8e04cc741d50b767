"""What a GPU does with darkroom: exactness, call times, pictures per second, policies, memory.

    python benchmarks/gpu_report.py [--only SECTION ...] [--minutes 8] [--rest] [--small]
        [--no-compile] [--json FILE] [--page FILE]

Needs no download: beside the starter it builds Stable Diffusion 1.5, 2.1 and SDXL from their
published configurations with random weights, since speed does not depend on values. What counts
most comes first. A section that fails is reported, and the others go on; one that would not end
within --minutes is left out and named, and one that is not done by then is cut short. `--rest` adds
to a report what it lacks: what the first run has compiled is in torch's cache then, where a worker
would find it too. After each section it writes what it has measured as JSON, which
`benchmarks/simulated/step_times.py` reads, and as a page.

`--small` runs every section on tiny models, on any machine, to see that it works; it writes only
what it is told to.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from families import FAMILIES, SMALL
from given import new_file
from gpu.call_times import attention, decoders, unets
from gpu.cards import cards
from gpu.ceilings import ceilings
from gpu.exactness import exactness, exactness_compiled
from gpu.kernels import kernels
from gpu.page import page_of
from gpu.policies import policies
from gpu.rates import (
    compiled,
    compiled_by_count,
    diffusers_compiled,
    other_families,
    other_families_compiled,
    pictures,
)
from gpu.setting import BEGAN, Setting, Tree, forget_compiled, say
from gpu.time_limit import GRACE_S, TimeIsUp, time_limit
from machine import machine

from worker.compilation import keep_compiled

sys.path.insert(0, str(Path(__file__).parent.parent))  # where tests/ is

JSON = Path("docs/benchmarks/gpu-report.json")
PAGE = Path("docs/gpu-report.md")
SLACK = 2.5  # times what a section needs: one that hangs leaves the others some time
DRIVER = ("driver_version", "power.limit", "clocks.max.sm")
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    run: Callable[[Setting], Iterator[Tree]]
    needs_s: float
    """About how long it takes on an H100, for which nothing was compiled before: an estimate, until
    one has run it all."""

    compiles: bool = False

    def limit_s(self, setting: Setting) -> float:
        return SLACK * self.needs_s if setting.device.type == "cuda" else float("inf")


def service(setting: Setting, *, compiles: bool) -> Iterator[Tree]:
    from gpu.service import through_the_api  # needs libraries that nothing else here does

    return through_the_api(setting, compiles=compiles)


SECTIONS: Mapping[str, Section] = {
    "ceilings": Section(ceilings, 10),
    "exactness": Section(exactness, 20),
    "pictures": Section(pictures, 30),
    "unets": Section(unets, 45),
    "decoders": Section(decoders, 15),
    "compiled": Section(compiled, 145, compiles=True),
    # What it compiles was compiled by the section before, and is in torch's cache.
    "service compiled": Section(partial(service, compiles=True), 85, compiles=True),
    "diffusers compiled": Section(diffusers_compiled, 100, compiles=True),
    "policies": Section(policies, 85),
    "memory": Section(cards, 20),
    "kernels": Section(kernels, 10),
    "service": Section(partial(service, compiles=False), 50),
    "other families": Section(other_families, 45),
    "attention": Section(attention, 30),
    "exactness compiled": Section(exactness_compiled, 60, compiles=True),
    "compiled by count": Section(compiled_by_count, 180, compiles=True),
    "other families compiled": Section(other_families_compiled, 360, compiles=True),
}


def choose(options: argparse.Namespace) -> Setting:
    on_gpu = torch.cuda.is_available() and not options.small
    return Setting(
        device=torch.device("cuda" if on_gpu else "cpu"),
        dtype=torch.float16 if on_gpu else torch.bfloat16,
        families=(SMALL,) if options.small else FAMILIES,
        rows=(2, 4) if options.small else (1, 2, 4, 8, 16, 32),
        pictures=(1, 2) if options.small else (1, 2, 4, 8),
        in_flight=4 if options.small else 16,
        static_batch=2 if options.small else 8,
        measured_s=1.0 if options.small else 6.0,
        counts=(2, 4) if options.small else tuple(options.counts),
        cards_gb=(0.05,) if options.small else (8.0, 24.0),
    )


def run(
    names: Sequence[str], setting: Setting, ends_at: float, known: Result | None = None
) -> Iterator[Result]:
    """What there is at the start and after each section.

    Args:
        ends_at: reading of `time.perf_counter` by which the last section is to be done.
        known: what an earlier run found.
    """
    result: Result = known or {"families": [family.name for family in setting.families]}
    result["machine"] = environment()
    told = result.setdefault("sections", {})
    yield result
    for name in names:
        section, began = SECTIONS[name], time.perf_counter()
        if began + section.needs_s > ends_at:
            told[name] = {"left_out": section.needs_s}
            say(f"{name}: left out, since it takes about {section.needs_s:.0f} s")
            continue
        told[name] = {}
        try:
            with time_limit(min(ends_at - began, section.limit_s(setting))):
                for part in section.run(setting):
                    merge(result, json.loads(json.dumps(part)))
        except (Exception, TimeIsUp):
            told[name]["failed"] = traceback.format_exc()
            say(f"{name} failed:\n{told[name]['failed']}")
        told[name]["seconds"] = time.perf_counter() - began
        clean_up(setting)
        yield result
    yield result


def merge(whole: Result, part: Tree) -> None:
    for name, value in part.items():
        if isinstance(value, Mapping) and isinstance(whole.get(name), dict):
            merge(whole[name], value)
        else:
            whole[name] = value


def clean_up(setting: Setting) -> None:
    try:
        forget_compiled(setting.device)
    except RuntimeError as error:  # of a device that has failed, which the next section will tell
        say(f"cleaning up: {error}")


def environment() -> dict[str, Any]:
    facts = machine() | {"diffusers": diffusers.__version__}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts["gpu_memory_gb"] = properties.total_memory / 1e9
        facts["cudnn"] = torch.backends.cudnn.version()
        facts |= driver()
    return facts


def driver() -> dict[str, str]:
    """What torch does not know of the first GPU; nothing where nobody says."""
    command = ["nvidia-smi", f"--query-gpu={','.join(DRIVER)}", "--format=csv,noheader", "--id=0"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return dict(zip(DRIVER, told.stdout.strip().split(", "), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION"
    )
    parser.add_argument("--minutes", type=float, help="within which it is to end (default: 8)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--counts",
        nargs="+",
        type=int,
        choices=range(1, 33),
        default=[8, 16],
        metavar="ROWS",
        help="row counts that are compiled by themselves, about 80 s for each (default: 8 16)",
    )
    parser.add_argument("--rest", action="store_true", help="add to the JSON what it lacks")
    parser.add_argument("--small", action="store_true", help="tiny models, on any machine")
    parser.add_argument("--json", type=new_file, help=f"default, but for --small: {JSON}")
    parser.add_argument("--page", type=new_file, help=f"default, but for --small: {PAGE}")
    options = parser.parse_args(arguments)
    options.minutes = options.minutes or (60.0 if options.small else 8.0)
    if not options.small:
        if not torch.cuda.is_available():
            parser.exit(1, "torch finds no GPU on this machine; there is nothing to report\n")
        options.json, options.page = options.json or JSON, options.page or PAGE
    if options.rest and not (options.json and options.json.exists()):
        parser.exit(2, f"--rest: there is no report {options.json or JSON} to add to\n")
    return options


def wanted(options: argparse.Namespace, known: Result) -> list[str]:
    """The sections that are to run, in their order."""
    chosen = [name for name in SECTIONS if name in options.only]
    if not options.compile:
        chosen = [name for name in chosen if not SECTIONS[name].compiles]
    done = [
        name
        for name, told in known.get("sections", {}).items()
        if "left_out" not in told and "failed" not in told
    ]
    return [name for name in chosen if name not in done]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    warnings.simplefilter("ignore")
    for library in (diffusers, transformers):
        library.logging.set_verbosity_error()
        library.logging.disable_progress_bar()
    if options.compile:
        keep_compiled(None)  # where the service looks, too
    known: Result = json.loads(options.json.read_text()) if options.rest else {}
    if known and known["machine"]["gpu"] != machine()["gpu"]:
        sys.exit(f"--rest: {options.json} is of another device")
    files = [(options.json, as_json), (options.page, page_of)]
    ends_at = BEGAN + 60 * options.minutes - GRACE_S
    for result in run(wanted(options, known), choose(options), ends_at, known):
        result["seconds"] = time.perf_counter() - BEGAN
        for file, write in files:  # at once: whoever lends the device may want it back
            if file is not None:
                file.write_text(write(result))
    say("written: " + ", ".join(str(file) for file, _ in files if file is not None))


def as_json(result: Result) -> str:
    return json.dumps(result, indent=2) + "\n"


if __name__ == "__main__":
    main()
