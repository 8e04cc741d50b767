"""What allocators, huge pages, OpenMP and oneDNN give on a CPU: whole processes, taken in turns.

    python benchmarks/cpu_environments.py [--rounds 3] [--only NAME ...] [--json FILE]

Each environment is a process of its own that times U-Net calls and the decoder, in float32 and in
bfloat16. The plain environment is the one that the worker makes for itself (worker/__init__.py); it
runs beside every second one, and each is compared with the plain one next to it: the machine's own
speed drifts by a third from minute to minute.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from given import STARTER, checkpoint, new_file, whole
from machine import machine

import worker  # noqa: F401  (before torch: it sets how memory is asked for and how OpenMP waits)

JEMALLOC = "libjemalloc.so.2"
TCMALLOC = "libtcmalloc_minimal.so.4"
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
PLAIN = "plain"
ROWS = (2, 16)
PICTURES = 8  # that one call of the decoder gets


@dataclass(frozen=True, slots=True)
class Environment:
    """What a process is started with."""

    variables: dict[str, str] = field(default_factory=dict)
    preload: str | None = None  # a library that is to be found in LIBRARIES
    threads: int | None = None  # of torch; None leaves all cores
    processes: int = 1  # at the same time
    is_exact: bool = True  # whether float32 stays float32


# Blocks beyond 32 MB are mapped anew each time unless mapping is off altogether.
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
LASTING = "background_thread:true,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1"
ENVIRONMENTS = {
    "jemalloc": Environment(preload=JEMALLOC),
    "jemalloc that keeps its pages": Environment({"MALLOC_CONF": LASTING}, JEMALLOC),
    "jemalloc that keeps huge pages": Environment(
        {"MALLOC_CONF": LASTING + ",thp:always"}, JEMALLOC
    ),
    "tcmalloc": Environment(preload=TCMALLOC),
    "glibc that keeps its pages": Environment(KEEP),
    "glibc with huge pages": Environment(HUGE),
    "glibc that keeps huge pages": Environment(KEEP | HUGE),
    "no huge pages": Environment({"THP_MEM_ALLOC_ENABLE": "0"}),
    "threads bound to cores": Environment({"OMP_PROC_BIND": "true"}),
    "OpenMP's own spin": Environment({"GOMP_SPINCOUNT": "300000"}),
    "no spin": Environment({"GOMP_SPINCOUNT": "0"}),
    "one thread": Environment(threads=1),
    "two processes of one thread": Environment(threads=1, processes=2),
    "oneDNN without AVX-512": Environment({"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "oneDNN float32 by bfloat16": Environment(
        {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, is_exact=False
    ),
}


def timed(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    """The median duration of a call in seconds, and its minor page faults."""
    for _ in range(2):
        call()
    durations: list[float] = []
    faults = -resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    while sum(durations) < seconds or len(durations) < 3:
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return statistics.median(durations), faults / len(durations)


def measure(checkpoint: Path, threads: int | None, seconds: float) -> dict[str, float]:
    """Seconds by what was called, and page faults of a call by the same name; in this process."""
    import torch

    from worker.engine.model import load_model

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    found: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = load_model(checkpoint, torch.device("cpu"), dtype)
        kind = str(dtype).removeprefix("torch.")
        latents = torch.randn(PICTURES, model.latent_channels, *model.native_shape)
        calls: dict[str, Callable[[], object]] = {
            f"{kind} decoder, {PICTURES} pictures": lambda m=model, x=latents: m.decode(x)
        }
        width = model.unet.config.cross_attention_dim
        for rows in ROWS:
            arguments = (
                torch.randn(rows, model.latent_channels, *model.native_shape),
                torch.full((rows,), 500.0),
                torch.zeros(rows, model.token_limit, width, dtype=dtype),
            )
            calls[f"{kind} U-Net, {rows} rows"] = lambda m=model, a=arguments: m.predict(*a)
        with torch.inference_mode():
            for name, call in calls.items():
                found[name], found[f"{name}: page faults"] = timed(call, seconds)
    return found


def run(environment: Environment, options: argparse.Namespace) -> dict[str, float]:
    """What the environment's processes measured, on the average; with several at the same time,
    the seconds are those in which one call's work was done: theirs, over their number."""
    variables = dict(os.environ) | environment.variables
    if environment.preload:
        variables["LD_PRELOAD"] = str(library(environment.preload))
    command = [sys.executable, __file__, "--measure", "--checkpoint", str(options.checkpoint)]
    command += ["--seconds", str(options.seconds)]
    threads = environment.threads or options.threads
    command += ["--threads", str(threads)] if threads else []
    running = [
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
        for _ in range(environment.processes)
    ]
    found = [json.loads(process.communicate()[0]) for process in running]
    return {
        name: statistics.mean(each[name] for each in found) / environment.processes
        for name in found[0]
    }


def library(name: str) -> Path | None:
    return next((path for folder in LIBRARIES if (path := Path(folder, name)).exists()), None)


def turns(names: list[str]) -> Iterator[tuple[str, bool]]:
    """The order of a round, and whether the plain environment that counts is the last one before;
    else it is the next one after: plain, a, b, plain, c, d, plain."""
    for n, name in enumerate(names):
        if n % 2 == 0:
            yield PLAIN, True
        yield name, n % 2 == 0
    if len(names) % 2 == 0:
        yield PLAIN, True


def ratios(
    round_: list[tuple[str, bool, dict[str, float]]],
) -> dict[str, dict[str, float]]:
    """Seconds over those of the plain environment beside, by environment and call."""
    found = {}
    for n, (name, looks_back, seconds) in enumerate(round_):
        if name == PLAIN:
            continue
        beside = reversed(round_[:n]) if looks_back else iter(round_[n:])
        plain = next(values for other, _, values in beside if other == PLAIN)
        found[name] = {
            call: value / plain[call] for call, value in seconds.items() if "faults" not in call
        }
    return found


def median_over(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def compare(options: argparse.Namespace) -> dict[str, object]:
    names = [
        name
        for name in options.only
        if (preload := ENVIRONMENTS[name].preload) is None or library(preload)
    ]
    all_ratios: list[dict[str, dict[str, float]]] = []
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in [PLAIN, *names]}
    for n in range(options.rounds):
        done = []
        for name, looks_back in turns(names):
            seconds = run(ENVIRONMENTS.get(name, Environment()), options)
            measured[name].append(seconds)
            done.append((name, looks_back, seconds))
            calls = {call: value for call, value in seconds.items() if "faults" not in call}
            shown = " ".join(f"{1000 * value:7.1f}" for value in calls.values())
            print(f"  {name:32} {shown}", flush=True)
        all_ratios.append(ratios(done))
        print(f"round {n + 1} of {options.rounds}", flush=True)
    return {
        "machine": machine(),
        "environments": {name: asdict(ENVIRONMENTS[name]) for name in names},
        "measured": {name: median_over(values) for name, values in measured.items()},
        "over_plain": {name: median_over([each[name] for each in all_ratios]) for name in names},
        "rounds": all_ratios,
    }


def show(result: dict[str, object]) -> None:
    measured, over_plain = result["measured"], result["over_plain"]
    assert isinstance(measured, dict)
    assert isinstance(over_plain, dict)
    print(f"\n{PLAIN}, in milliseconds and page faults of a call")
    for call, seconds in measured[PLAIN].items():
        if "faults" not in call:
            print(
                f"  {call:32} {1000 * seconds:8.1f} {measured[PLAIN][call + ': page faults']:8.0f}"
            )
    calls = list(next(iter(over_plain.values())))
    print("\ntime over the plain environment's: " + "; ".join(calls))
    for name, values in over_plain.items():
        faults = sum(value for call, value in measured[name].items() if "faults" in call)
        row = " ".join(f"{values[call]:6.2f}" for call in calls)
        print(f"  {name:32} {row}   {faults:8.0f} faults")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--rounds", type=whole, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each kind of call")
    parser.add_argument(
        "--only", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS), metavar="NAME"
    )
    parser.add_argument("--threads", type=whole)
    parser.add_argument("--measure", action="store_true", help="in this process, as it is")
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.checkpoint, options.threads, options.seconds)))
        return
    result = compare(options)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
