"""Worker processes that share the cores of one machine: what the waiting of OpenMP costs them.

    python benchmarks/neighbours.py [--checkpoint models/starter] [--json FILE]

Times 16-row U-Net calls in one process alone and in two at once, each with all cores, with OpenMP's
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
TIMED = """
import sys
from pathlib import Path
import torch
from worker.engine.budget import unet_seconds
from worker.engine.model import load_model
model = load_model(Path(sys.argv[1]), torch.device("cpu"), torch.float32)
print(unet_seconds(model, int(sys.argv[2]), model.native_shape, int(sys.argv[3])))
"""
# What libgomp does when it is told nothing, in spins; the worker sets the short one otherwise.
OWN_SPIN = "300000"


def milliseconds(spin: str, processes: int, checkpoint: Path) -> float:
    """The mean of the processes' fastest calls, all running at the same time."""
    environment = os.environ | {"GOMP_SPINCOUNT": spin}
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
    for processes in (1, 2):
        taken: dict[str, list[float]] = {OWN_SPIN: [], SHORT_SPIN: []}
        for _ in range(options.rounds):
            for spin, times in taken.items():
                times.append(milliseconds(spin, processes, options.checkpoint))
        for spin, times in taken.items():
            result[f"processes={processes} spin={spin}"] = statistics.median(times)
            print(f"{processes} at once, spin {spin:>6}: {statistics.median(times):8.1f} ms a call")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
