"""Worker processes that share the cores of one machine: what the waiting of OpenMP costs them.

    python benchmarks/neighbours.py [--checkpoint models/starter] [--json FILE]

Times 16-row U-Net calls in one, two and three processes at once, each with all cores, with OpenMP's
own spinning and with the short one that the worker sets (worker/__init__.py).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROWS = 16
CALLS = 8
SHORT_SPIN = "3000"
# torch comes first: OpenMP then starts before the worker's package can set its default.
TIMED = """
import sys
from pathlib import Path
import torch
from worker.engine.unet_timing import unet_seconds
from worker.engine.model import load_model
model = load_model(Path(sys.argv[1]), torch.device("cpu"), torch.float32)
print(unet_seconds(model, int(sys.argv[2]), model.native_shape, int(sys.argv[3])))
"""


def milliseconds(spin: str | None, processes: int, checkpoint: Path) -> float:
    """The mean of the processes' fastest calls, all running at the same time."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin is not None:
        environment["GOMP_SPINCOUNT"] = spin
    command = [sys.executable, "-c", TIMED, str(checkpoint), str(ROWS), str(CALLS)]
    running = [
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(processes)
    ]
    return 1000 * statistics.mean(float(process.communicate()[0]) for process in running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("models/starter"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    result = {}
    for processes in (1, 2, 3):
        taken: dict[str | None, list[float]] = {None: [], SHORT_SPIN: []}
        for _ in range(options.rounds):
            for spin, times in taken.items():
                times.append(milliseconds(spin, processes, options.checkpoint))
        for spin, times in taken.items():
            name = f"{processes} at once, {'OpenMP as it is' if spin is None else 'short spin'}"
            result[name] = statistics.median(times)
            print(f"{name:28} {result[name]:8.1f} ms a call")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
