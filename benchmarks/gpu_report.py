"""What a GPU does with darkroom: exactness, call times, pictures per second, policies, memory.

    python benchmarks/gpu_report.py [--only SECTION ...] [--minutes 8] [--small]
        [--json FILE] [--page FILE]

Needs no download: beside the starter it builds Stable Diffusion 1.5, 2.1 and SDXL from their
published configurations with random weights, since speed does not depend on values. Everything is
measured uncompiled and compiled (`--no-compile` leaves the latter out). A section that fails is
reported, and the others go on; one that would not end within --minutes is left out and named.
Writes what it measured as JSON, which `benchmarks/simulated/step_times.py` reads, and as a page.

`--small` runs every section on tiny models, on any machine, to see that it works; it writes only
what it is told to.
"""

import argparse
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from engine import machine
from families import FAMILIES, SMALL
from gpu.call_times import attention, decoders, unets
from gpu.ceilings import ceilings
from gpu.exactness import exactness
from gpu.kernels import kernels
from gpu.page import page_of
from gpu.policies import policies
from gpu.rates import other_families, pictures
from gpu.service import through_the_api
from gpu.setting import BEGAN, Setting, say

sys.path.insert(0, str(Path(__file__).parent.parent))  # where tests/ is

JSON = Path("docs/benchmarks/gpu-report.json")
PAGE = Path("docs/gpu-report.md")
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    run: Callable[[Setting], Mapping[str, Any]]
    needs_s: float
    """About how long it takes on an H100, compiled."""


SECTIONS: Mapping[str, Section] = {
    "ceilings": Section(ceilings, 5),
    "exactness": Section(exactness, 40),
    "pictures": Section(pictures, 120),
    "service": Section(through_the_api, 60),
    "unets": Section(unets, 60),
    "decoders": Section(decoders, 20),
    "attention": Section(attention, 15),
    "kernels": Section(kernels, 10),
    "policies": Section(policies, 80),
    "other families": Section(other_families, 60),
}


def choose(options: argparse.Namespace) -> Setting:
    on_gpu = torch.cuda.is_available() and not options.small
    return Setting(
        device=torch.device("cuda" if on_gpu else "cpu"),
        dtype=torch.float16 if on_gpu else torch.bfloat16,
        families=(SMALL,) if options.small else FAMILIES,
        rows=(2, 4) if options.small else (1, 2, 4, 8, 16, 32),
        in_flight=4 if options.small else 16,
        static_batch=2 if options.small else 8,
        measured_s=1.0 if options.small else 8.0,
        compiles=options.compile,
    )


def run(names: list[str], setting: Setting, ends_at: float) -> Iterator[Result]:
    """What there is at the start and after each section.

    Args:
        ends_at: reading of `time.perf_counter` by which the last section is to be done.
    """
    result: Result = {
        "machine": machine(),
        "families": [family.name for family in setting.families],
        "left out": [],
    }
    yield result
    for name in names:
        section = SECTIONS[name]
        if time.perf_counter() + section.needs_s > ends_at:
            result["left out"].append(name)
            say(f"{name}: left out, since it takes about {section.needs_s:.0f} s")
            yield result
            continue
        try:
            result[name] = section.run(setting)
        except Exception:
            result[name] = {"failed": traceback.format_exc()}
            say(f"{name} failed:\n{result[name]['failed']}")
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()
        yield result


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--minutes", type=float, default=8.0, help="within which it is to end")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--small", action="store_true", help="tiny models, on any machine")
    parser.add_argument("--json", type=Path, help=f"default, but for --small: {JSON}")
    parser.add_argument("--page", type=Path, help=f"default, but for --small: {PAGE}")
    options = parser.parse_args(arguments)
    if not options.small and not torch.cuda.is_available():
        parser.exit(1, "torch finds no GPU on this machine; there is nothing to report\n")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    warnings.simplefilter("ignore")
    diffusers.logging.set_verbosity_error()
    files = {
        options.json or (None if options.small else JSON): as_json,
        options.page or (None if options.small else PAGE): page_of,
    }
    for result in run(options.only, choose(options), BEGAN + 60 * options.minutes):
        result["seconds"] = time.perf_counter() - BEGAN
        for file, write in files.items():  # at once: whoever lends the device may want it back
            if file is not None:
                file.write_text(write(result))
    say("written: " + ", ".join(str(file) for file in files if file is not None))


def as_json(result: Result) -> str:
    return json.dumps(result, indent=2) + "\n"


if __name__ == "__main__":
    main()
