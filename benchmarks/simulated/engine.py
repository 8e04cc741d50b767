"""An engine whose device is a table: it sleeps for as long as a measured GPU would have worked.

What a worker asks of worker/engine/engine.py it finds here; torch is not loaded. Pictures join and
leave between two steps, up to the row budget, in the order of their arrival. There is one size, no
priority and no preview.
"""

import time
from collections import deque
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from simulated.step_times import StepTimes
from worker.engine.budget import RowBudget
from worker.engine.picture import Beside, Developed, Picture, StepReport
from worker.engine.usage import Usage

PIXELS_PER_CELL = 8
CHANNELS, LATENTS, OUTPUTS = 4, 2, 1
"""What a checkpoint holds at dpmpp_2m_karras: so many latents and outputs of float32."""

GENERATOR_BYTES = 5056  # of torch's CPU generator
MOST_DECODED = 8  # as worker/engine/engine.py
PIXELS = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    type: str = "simulated"

    def __str__(self) -> str:
        return self.type


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    name: str
    native_shape: tuple[int, int]
    device: SimulatedDevice = SimulatedDevice()
    fingerprint: str = "0" * 64

    def shape(self, width: int, height: int) -> tuple[int, int]:
        return height // PIXELS_PER_CELL, width // PIXELS_PER_CELL


@dataclass(frozen=True, slots=True)
class SimulatedTable:
    """One model evaluation for each step."""

    sampler: str
    steps: int

    def __len__(self) -> int:
        return self.steps

    def evaluations(self, steps: range) -> range:
        return steps


class SimulatedTables:
    """In the place of worker/tables.py: each table is known."""

    hits = misses = 0

    def known(self, sampler: str, steps: int) -> SimulatedTable:
        return SimulatedTable(sampler, steps)

    build = known


class Prompts:
    """In the place of the prompts' cache, whose counters stand in the metrics."""

    hits = misses = 0


@dataclass(frozen=True, slots=True)
class SimulatedCheckpoint:
    """As large as a real one."""

    step: int
    cells: int

    def to_bytes(self, fingerprint: bytes) -> bytes:
        tensors = CHANNELS * (LATENTS + OUTPUTS) * self.cells**2 * 4
        return fingerprint + self.step.to_bytes(4, "big") + bytes(tensors + GENERATOR_BYTES)


@dataclass(slots=True)
class _Row:
    picture: Picture
    step: int
    usage: Usage = field(default_factory=Usage)
    joined_at: float = field(default_factory=time.perf_counter)

    @property
    def share(self) -> float:
        return self.step / len(self.picture.table)

    @property
    def rows(self) -> int:
        return self.picture.rows_at(self.step)

    @property
    def most_rows(self) -> int:
        return self.picture.most_rows(self.step)

    @property
    def is_done(self) -> bool:
        return self.step == len(self.picture.table)


class SimulatedEngine:
    def __init__(self, name: str, times: StepTimes, native_rows: int):
        shape = (times.cells, times.cells)
        self.model = SimulatedModel(name, shape)
        self.budget = RowBudget(native_rows, shape)
        self.prompts = Prompts()
        self._times = times
        self._waiting: deque[Picture] = deque()
        self._rows: list[_Row] = []

    @property
    def width(self) -> int:
        return sum(row.rows for row in self._rows)

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._rows)

    @property
    def load(self) -> float:
        waiting = sum(picture.rows for picture in self._waiting)
        return float(waiting + sum(row.most_rows for row in self._rows))

    @property
    def row_steps_left(self) -> float:
        waiting = ((each, each.start.step if each.start else 0) for each in self._waiting)
        running = ((row.picture, row.step) for row in self._rows)
        return float(
            sum(
                picture.row_steps(len(picture.table)) - picture.row_steps(step)
                for picture, step in (*waiting, *running)
            )
        )

    @property
    def sizes(self) -> set[tuple[int, int]]:
        side = PIXELS_PER_CELL * self._times.cells
        return set() if self.is_idle else {(side, side)}

    def add(self, picture: Picture) -> None:
        self._waiting.append(picture)

    def remove(self, keys: Collection[Hashable]) -> Usage:
        had = Usage()
        for row in self._rows:
            if row.picture.key in keys:
                had.add(row.usage)
        self._waiting = deque(each for each in self._waiting if each.key not in keys)
        self._rows = [row for row in self._rows if row.picture.key not in keys]
        return had

    def beside(self) -> dict[tuple[int, int], Beside]:
        return {}

    def rows_ahead(self) -> dict[Hashable, int]:
        return {row.picture.key: row.most_rows for row in self._rows}

    def progress(self) -> dict[Hashable, float]:
        return {row.picture.key: row.share for row in self._rows}

    def checkpoints(self) -> dict[Hashable, SimulatedCheckpoint]:
        return {row.picture.key: self._checkpoint(row) for row in self._rows}

    def fingerprint(self, table: SimulatedTable) -> bytes:
        return f"{table.sampler} {table.steps}".encode().ljust(32)

    def resumed(self, checkpoint: bytes, fingerprint: bytes) -> SimulatedCheckpoint | None:
        if not checkpoint.startswith(fingerprint):
            return None
        step = int.from_bytes(checkpoint[len(fingerprint) :][:4], "big")
        return SimulatedCheckpoint(step, self._times.cells)

    def step(self) -> StepReport:
        began = time.perf_counter()
        joined, rows = self._admit(), self.width
        if not rows:
            return StepReport()
        _sleep_until(began + self._times.step_s(rows))
        denoised = time.perf_counter()
        for row in self._rows:
            row.usage.denoise_s += (denoised - began) * row.rows / rows
            row.usage.row_steps += row.rows
            row.step += 1
        done = [row for row in self._rows if row.is_done]
        self._rows = [row for row in self._rows if not row.is_done]
        developed = self._decode(done, denoised)
        return StepReport(
            developed=developed,
            joined=joined,
            rows=rows,
            most_rows=self.budget.native_rows,
            step_s=denoised - began,
            decode_s=time.perf_counter() - denoised,
        )

    def _admit(self) -> int:
        joined = 0
        room = self.budget.native_rows - sum(row.most_rows for row in self._rows)
        while self._waiting and self._waiting[0].rows <= room:
            picture = self._waiting.popleft()
            room -= picture.rows
            self._rows.append(_Row(picture, picture.start.step if picture.start else 0))
            joined += 1
        return joined

    def _decode(self, rows: list[_Row], denoised_at: float) -> tuple[Developed, ...]:
        calls = [rows[i : i + MOST_DECODED] for i in range(0, len(rows), MOST_DECODED)]
        _sleep_until(denoised_at + sum(self._times.decode_s(len(call)) for call in calls))
        decoded_at = time.perf_counter()
        for row in rows:
            row.usage.decode_s += (decoded_at - denoised_at) / len(rows)
        return tuple(
            Developed(
                key=row.picture.key,
                pixels=PIXELS,
                admitted_at=row.joined_at,
                joined_at=row.joined_at,
                denoised_at=denoised_at,
                decoded_at=decoded_at,
                warnings=(),
                end=cast("Any", self._checkpoint(row)),
                usage=row.usage,
            )
            for row in rows
        )

    def _checkpoint(self, row: _Row) -> SimulatedCheckpoint:
        return SimulatedCheckpoint(row.step, self._times.cells)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))
