"""How long a device takes, from the measurements of benchmarks/gpu_report.py."""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

TABLE = Path("docs/benchmarks/gpu-h100.json")
FAMILY = "SD 1.5"
FIRST = "first run"
CELLS = {"SD 1.5": 64, "SD 2.1": 96, "SDXL": 128}
"""Side of a native picture in latent space, which the first reports do not say."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of U-Net calls by rows, and of decoder calls by pictures."""

    cells: int
    unet_s: Mapping[int, float]
    decoder_s: Mapping[int, float]

    @classmethod
    def read(cls, table: Path, family: str, slow_down: float = 1.0, mode: str = "recorded") -> Self:
        """
        Args:
            table: a JSON of `gpu_report.py`, or one of several runs, of which the first counts
                that measured U-Nets and decoders.
            slow_down: what all times are multiplied with.
            mode: how the calls are made: `diffusers`, `recorded` or `compiled`; what was not
                measured that way counts as diffusers makes it.

        Raises:
            ValueError: the table does not have the family.
        """
        run = measured_run(table)
        if family not in run["unets"] or family not in run["decoders"]:
            raise ValueError(f"{table} has no times of {family}")
        unet, decoder = run["unets"][family], run["decoders"][family]
        return cls(
            unet.get("cells", CELLS.get(family)),
            *(
                _slower(each["seconds"].get(mode, each["seconds"]["diffusers"]), slow_down)
                for each in (unet, decoder)
            ),
        )

    @classmethod
    def runs(cls, table: Path, family: str) -> dict[str, Self]:
        """By each run that measured the recorded U-Net calls; decoders are those of the first."""
        first = cls.read(table, family)
        found = {FIRST: first}
        for name, run in json.loads(table.read_text()).items():
            taken = run.get("recorded_ms", {}).get(family) if isinstance(run, dict) else None
            if taken is not None:
                found[name.partition(",")[0]] = replace(first, unet_s=_slower(taken, 0.001))
        return found

    def step_s(self, rows: int) -> float:
        return _between(self.unet_s, rows)

    def decode_s(self, pictures: int) -> float:
        return _between(self.decoder_s, pictures)

    def pictures_per_s(self, pictures: int, steps: int) -> float:
        """Of a device that always has so many guided pictures in work, which end one by one."""
        return pictures / (steps * self.step_s(2 * pictures) + pictures * self.decode_s(1))


def measured_run(table: Path) -> dict[str, Any]:
    """
    Raises:
        ValueError: no run of the table measured U-Nets and decoders.
    """
    report = json.loads(table.read_text())
    runs = [report, *(run for run in report.values() if isinstance(run, dict))]
    for run in runs:
        if "unets" in run and "decoders" in run:
            return dict(run)
    raise ValueError(f"{table} has no times of U-Nets and decoders")


def _slower(seconds: Mapping[str, Any], factor: float) -> dict[int, float]:
    return {int(size): factor * taken for size, taken in seconds.items()}


def _between(seconds: Mapping[int, float], size: int) -> float:
    """On the straight line between two measurements; in proportion beyond the last."""
    known = sorted(seconds)
    if size <= known[0]:
        return seconds[known[0]]
    if size >= known[-1]:
        return seconds[known[-1]] * size / known[-1]
    place = bisect_left(known, size)
    low, high = known[place - 1], known[place]
    share = (size - low) / (high - low)
    return seconds[low] + share * (seconds[high] - seconds[low])
