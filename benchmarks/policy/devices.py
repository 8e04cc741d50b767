"""Devices that serve by any policy: a real one, and one that is a table of step times."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from simulated.step_times import StepTimes

from policy.pipelines import DiffusersPipeline, Table, TablePipeline, simulated
from policy.serving import (
    WINDOW_S,
    Batch,
    OneByOne,
    Pixels,
    RequestBatching,
    Server,
    StepLevel,
    oldest_first,
)
from policy.traffic import Request
from policy.virtual_clock import VirtualClock
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, UnetCall
from worker.engine.row_plan import PlannedRows, fixed_plans
from worker.engine.sampler import SamplerTable, build_table

FEW, MANY = 4, 20  # steps
CELLS = 4
"""Side of a picture in the latent space of the simulated engine, for a native one of the table: its
tensors cost no time worth mentioning."""

ONE, REQUEST, STEP, FIXED = "one by one", "request-level", "step-level", "step-level, fixed rows"

Around = Callable[[UnetCall], UnetCall]


def as_it_is(call: UnetCall) -> UnetCall:
    return call


class Native(NamedTuple):
    width: int  # pixels
    height: int


class Tables(dict[tuple[str, int], SamplerTable]):
    """By sampler and steps; built when first asked for, which is before the engine works, as a
    worker builds them aside."""

    def __init__(self, model: Model):
        self._model = model

    def __missing__(self, key: tuple[str, int]) -> SamplerTable:
        self[key] = build_table(*key, self._model.scheduler_config)
        return self[key]


class RealDevice:
    """The engine as it is, and diffusers' pipeline with the engine's own U-Net calls."""

    def __init__(
        self, model: Model, most_rows: int, alone_repeats: int = 3, fixed: Model | None = None
    ):
        """
        Args:
            fixed: the model with calls of `most_rows` rows alone, for the policy FIXED.
        """
        self.model = model
        self._fixed = fixed
        self.native = Native(*model.native_size)
        self.most_rows = most_rows
        self._tables = Tables(model)
        self._alone_repeats = alone_repeats
        self._alone: dict[tuple[int, int], tuple[float, float]] = {}

    def server(self, policy: str) -> Server:
        clock = VirtualClock()
        if policy == ONE:
            return OneByOne(clock, _Known(clock, self.alone_s))
        if policy == REQUEST:
            return RequestBatching(clock, DiffusersPipeline(self.model, clock), self.most_rows)
        model = self._fixed if policy == FIXED else self.model
        if model is None:
            raise ValueError(f"no model for {policy}")
        budget = RowBudget(self.most_rows, model.native_shape, is_strict=policy == FIXED)
        return StepLevel(clock, Engine(model, budget), self._tables, clock.measured)

    def alone_s(self, request: Request) -> float:
        """Of a request on an idle device, by diffusers: on the line through FEW and MANY steps,
        which are measured once for each number of rows and size. The sampler hardly matters."""
        kind = request.rows, request.height
        if kind not in self._alone:
            self._alone[kind] = self._measured(request, FEW), self._measured(request, MANY)
        few, many = self._alone[kind]
        return few + (many - few) * (request.steps - FEW) / (MANY - FEW)

    def _measured(self, request: Request, steps: int) -> float:
        """The median after a first call that is not counted."""
        clock = VirtualClock()
        pipeline = DiffusersPipeline(self.model, clock)
        readings = [0.0]
        for _ in range(1 + self._alone_repeats):
            pipeline.develop([replace(request, steps=steps)])
            readings.append(clock.now)
        return median(end - begin for begin, end in pairwise(readings[1:]))


class SimulatedDevice:
    """A table of step times. The engine is the real one; its model computes nothing."""

    def __init__(
        self,
        model: Model,
        times: StepTimes,
        most_rows: int,
        *,
        diffusers_times: StepTimes | None = None,
        around: Around = as_it_is,
        window_s: float = WINDOW_S,
        order: Callable[[Batch], tuple[float, ...]] = oldest_first,
    ):
        """
        Args:
            model: a small one, whose text encoder, U-Net and decoder are not called.
            diffusers_times: those of the pipeline's calls, where they are not the engine's.
            around: what stands between the engine and the U-Net, such as padding.
            window_s, order: of request-level batching.
        """
        side = CELLS * model.vae_scale_factor
        self.model = model
        self.native = Native(side, side)
        self.most_rows = most_rows
        self.times = times
        self._tables = Tables(model)
        self._table = Table(times, (CELLS, CELLS))
        self._diffusers_table = Table(diffusers_times or times, (CELLS, CELLS))
        self._around = around
        self._window_s = window_s
        self._order = order

    def server(self, policy: str) -> Server:
        clock = VirtualClock()
        pipeline = TablePipeline(self.model, self._diffusers_table, clock)
        if policy == ONE:
            return OneByOne(clock, pipeline)
        if policy == REQUEST:
            return RequestBatching(clock, pipeline, self.most_rows, self._window_s, self._order)
        around = self._padded if policy == FIXED else self._around
        model = simulated(self.model, self._table, clock, around)
        budget = RowBudget(self.most_rows, (CELLS, CELLS), is_strict=policy == FIXED)
        return StepLevel(clock, Engine(model, budget), self._tables)

    def alone_s(self, request: Request) -> float:
        """Of a request on an idle device, by diffusers."""
        clock = VirtualClock()
        TablePipeline(self.model, self._diffusers_table, clock).develop([request])
        return clock.now

    def _padded(self, call: UnetCall) -> UnetCall:
        return PlannedRows(call, fixed_plans(self.most_rows, (CELLS, CELLS)))


class _Known:
    """A pipeline for single requests whose times are known."""

    def __init__(self, clock: VirtualClock, seconds: Callable[[Request], float]):
        self._clock = clock
        self._seconds = seconds

    def develop(self, requests: Sequence[Request]) -> Sequence[Pixels]:
        self._clock.spend(sum(map(self._seconds, requests)))
        return []


Device = RealDevice | SimulatedDevice
