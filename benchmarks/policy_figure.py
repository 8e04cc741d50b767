"""p95 of the serving policies against load, as a figure for docs/performance.md.

    python benchmarks/policy_figure.py docs/performance/policies.svg

Reads what benchmarks/policies.py wrote on a CPU and on the simulated device.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from policy.devices import FIXED, ONE, REQUEST, STEP

FILES = {
    "CPU, the starter": Path("docs/benchmarks/policies-cpu.json"),
    "H100, simulated, SD 1.5": Path("docs/benchmarks/policies-h100-simulated.json"),
}
COLOURS = {ONE: "#888888", REQUEST: "#d1662f", STEP: "#1f6fb4", FIXED: "#8fb9dc"}
WIDTH, HEIGHT = 4.2, 2.9  # of a panel, in inches


def panel(axes: Axes, traffic: dict[str, Any]) -> None:
    policies = next(iter(traffic["loads"].values()))["policies"]
    for policy in policies:
        points = {
            float(load): found["policies"][policy]["p95_s"]["median"]
            for load, found in traffic["loads"].items()
        }
        loads = sorted(points)
        values = [points[load] for load in loads]
        axes.plot(loads, values, marker="o", markersize=3, color=COLOURS[policy], label=policy)
    axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the figure, such as an SVG")
    parser.add_argument("--traffic", nargs="+", default=["mixed", "short among long"])
    options = parser.parse_args()
    found = {name: json.loads(file.read_text())["traffics"] for name, file in FILES.items()}
    mpl.rcParams |= {"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "darkroom"}
    columns, rows = len(options.traffic), len(found)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * WIDTH, rows * HEIGHT), squeeze=False, sharex=True
    )
    for line, (device, traffics) in zip(axes, found.items(), strict=True):
        for each, name in zip(line, options.traffic, strict=True):
            panel(each, traffics[name])
            each.set_title(f"{name}: {device}", fontsize=9)
        line[0].set_ylabel("p95, seconds")
    for each in axes[-1]:
        each.set_xlabel("load, as a share of what request-level batching can do")
    axes[-1][0].legend(frameon=False, fontsize=7)
    figure.tight_layout()
    options.file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.file, metadata={"Date": None})


if __name__ == "__main__":
    main()
