"""A sampler as a table: what a diffusers scheduler does to a picture, read off the scheduler.

Every sampler here is linear in the latents x and the model outputs e, so step i of N is

    x[i+1] = sum_k A[i,k] x[i-k]  +  sum_k B[i,k] e[i-k]  +  C[i] z[i]

with z fresh Gaussian noise. The coefficients are not derived: the scheduler is run once on basis
vectors, one coordinate for each x[i], e[i] and z[i], and what its `step` returns is row i.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from contract.errors import SamplerRefused
from contract.samplers import SAMPLERS

HISTORY = 4
"""How many latents and how many model outputs, the present ones included, a row may use."""

PROGRAM_WIDTH = 2 + 2 * HISTORY + 1
"""Columns of `SamplerTable.program`: timestep, input scale, A, B, C."""

READING_TOLERANCE = 1e-9
FIT_TOLERANCE = 1e-5
CHECK_TOLERANCE = 1e-3
TRIAL = 16  # random numbers that go along to check the table

Array = NDArray[np.float64]


class Reach(NamedTuple):
    """How many of the last latents and model outputs matter, newest first."""

    latents: int  # 1 to HISTORY
    outputs: int  # 0 to HISTORY


@dataclass(frozen=True, slots=True)
class SamplerTable:
    """`N` is the number of model evaluations, which some samplers need more of than steps."""

    sampler: str
    steps: int
    init_noise_sigma: float
    timesteps: Array  # [N]
    input_scale: Array  # [N], what the latents are multiplied with before the model sees them
    latent_coefficients: Array  # [N, HISTORY], A: newest first
    output_coefficients: Array  # [N, HISTORY], B: newest first
    noise_coefficients: Array  # [N], C
    draws: tuple[bool, ...]  # [N], whether the scheduler draws from the generator at this step

    def __len__(self) -> int:
        return len(self.timesteps)

    def reach(self, step: int) -> Reach:
        """How much of the past the steps from `step` on refer to."""
        return Reach(
            latents=1 + _last_used(self.latent_coefficients[step:]),
            outputs=_last_used(self.output_coefficients[step:]),  # the newest is the step's own
        )

    def evaluations(self, steps: range) -> range:
        """The model evaluations of these steps. Samplers of several a step have them side by side:
        the second order of `heun` and `kdpm2`, and the one that `pndm` adds to its first step."""
        n = len(self)
        first, behind = (-(-step * n // self.steps) for step in (steps.start, steps.stop))
        return range(first, behind)

    def program(self, device: torch.device) -> Tensor:
        """The table as one tensor, [N, PROGRAM_WIDTH] float32, for the device to walk down."""
        columns = np.concatenate(
            [
                self.timesteps[:, None],
                self.input_scale[:, None],
                self.latent_coefficients,
                self.output_coefficients,
                self.noise_coefficients[:, None],
            ],
            axis=1,
        )
        return torch.from_numpy(columns).to(device, torch.float32)


def _last_used(coefficients: Array) -> int:
    """The last column in which there is anything but zeros; 0 where there is none."""
    return int(np.flatnonzero(coefficients.any(axis=0)).max(initial=0))


@dataclass(frozen=True, slots=True)
class SamplerSupport:
    """What a checkpoint can do with one sampler: `refusal` is None where it can be used."""

    max_steps: int
    refusal: str | None = None


def build_table(sampler: str, steps: int, scheduler_config: Mapping[str, Any]) -> SamplerTable:
    """Reads the table of `sampler` at `steps` steps off diffusers' scheduler.

    Takes 3 to 30 ms for most samplers, a second for LMS at 150 steps.

    Raises:
        SamplerRefused: diffusers refuses the combination, turns it into NaN, or is not linear.
    """
    try:
        walk = _Walk(sampler, steps, scheduler_config)
        for i in range(len(walk)):
            walk.step(i)
    except Exception as error:
        raise SamplerRefused(
            f"diffusers refuses {sampler} at steps={steps}: {_sentence(error)}"
        ) from error
    return _table(sampler, steps, walk)


def sampler_support(
    scheduler_config: Mapping[str, Any], most_steps: int
) -> dict[str, SamplerSupport]:
    """What the checkpoint with this scheduler configuration can do, by sampler name."""
    return {name: _support(name, scheduler_config, most_steps) for name in SAMPLERS}


def _support(name: str, config: Mapping[str, Any], most_steps: int) -> SamplerSupport:
    refusal = ""
    for steps in (4, 7, 20, 30):  # some step counts fail where their neighbours do not
        try:
            build_table(name, steps, config)
        except SamplerRefused as error:
            refusal = str(error)
        else:
            return SamplerSupport(_most_steps(name, config, most_steps))
    return SamplerSupport(0, refusal)


def _most_steps(name: str, config: Mapping[str, Any], most: int) -> int:
    def accepted(steps: int) -> bool:
        try:
            make_scheduler(name, config).set_timesteps(steps)
        except Exception:
            return False
        return True

    if accepted(most):
        return most
    low, high = 1, most  # low is accepted, high is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return low


def make_scheduler(sampler: str, scheduler_config: Mapping[str, Any]) -> Any:
    """The diffusers scheduler that `sampler` stands for on this checkpoint."""
    entry = SAMPLERS[sampler]
    scheduler_class = getattr(diffusers, entry.scheduler)
    return scheduler_class.from_config(dict(scheduler_config), **entry.overrides)


class _Noise(TorchFunctionMode):
    """Hands a scheduler our own vector, in this thread alone, where it would draw noise."""

    def __init__(self, draw: Callable[[], Tensor]):
        super().__init__()
        self._draw = draw
        self.draws = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.randn:
            self.draws += 1
            return self._draw()
        return func(*args, **(kwargs or {}))


class _Walk:
    """One run of a scheduler over N steps on vectors of 3 N + TRIAL coordinates: one each for every
    x[i], e[i] and z[i], where step i reads as a row; then a trial, plain random numbers that follow
    the trajectory as a picture would and are large enough to meet any clipping."""

    def __init__(self, sampler: str, steps: int, config: Mapping[str, Any]):
        self._scheduler = make_scheduler(sampler, config)
        self._scheduler.set_timesteps(steps)
        self.timesteps: Tensor = self._scheduler.timesteps
        self.init_noise_sigma = float(self._scheduler.init_noise_sigma)
        # As diffusers' pipeline does: eta stays 0 wherever a scheduler knows it.
        takes_eta = "eta" in inspect.signature(self._scheduler.step).parameters
        self._extra = {"eta": 0.0} if takes_eta else {}
        n = len(self)
        self.scale = np.zeros(n)
        self.readings = np.zeros((n, 3 * n))
        self.draws: list[bool] = []
        self._random = torch.Generator().manual_seed(0)
        self.trial_latents = [self._trial() * self.init_noise_sigma]
        self.trial_outputs: list[Tensor] = []
        self.trial_noise: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.timesteps)

    def step(self, i: int) -> None:
        n, t = len(self), self.timesteps[i]
        self.trial_outputs.append(self._trial())
        self.trial_noise.append(self._trial())
        x = self._vector(i, self.trial_latents[i])
        e = self._vector(n + i, self.trial_outputs[i])
        z = self._vector(2 * n + i, self.trial_noise[i])
        self.scale[i] = self._scheduler.scale_model_input(x, t).flatten()[i].item()
        with _Noise(lambda: z) as noise:
            after = self._scheduler.step(e, t, x, **self._extra, return_dict=False)[0]
        if noise.draws > 1:
            raise ValueError("its scheduler draws noise more than once in a step")
        after = after.flatten().to(torch.float64)
        self.readings[i] = after[: 3 * n].numpy()
        self.trial_latents.append(after[3 * n :])
        self.draws.append(noise.draws == 1)

    def _trial(self) -> Tensor:
        return torch.randn(TRIAL, generator=self._random, dtype=torch.float64) * 2

    def _vector(self, index: int, trial: Tensor) -> Tensor:
        vector = torch.zeros(1, 1, 1, 3 * len(self) + TRIAL, dtype=torch.float64)
        vector[..., index] = 1.0
        vector[..., 3 * len(self) :] = trial
        return vector


def _table(sampler: str, steps: int, walk: _Walk) -> SamplerTable:
    n = len(walk)
    if not np.isfinite(walk.readings).all() or not np.isfinite(walk.scale).all():
        raise SamplerRefused(f"{sampler} at steps={steps} becomes NaN in diffusers on this model")
    latent, output = _window(walk.readings)
    table = SamplerTable(
        sampler=sampler,
        steps=steps,
        init_noise_sigma=walk.init_noise_sigma,
        timesteps=walk.timesteps.to(torch.float64).numpy(),
        input_scale=walk.scale,
        latent_coefficients=latent,
        output_coefficients=output,
        noise_coefficients=walk.readings[:, 2 * n :].diagonal().copy(),
        draws=tuple(walk.draws),
    )
    _check(table, walk)
    return table


def _window(readings: Array) -> tuple[Array, Array]:
    """Coefficients A and B over the last HISTORY latents and outputs, each [N, HISTORY].

    A reading that reaches further back (UniPC corrects the latents behind the caller's back, PNDM
    keeps its first output) is written anew over the window, in terms of the latents that really
    came out: x[0], every e and every z are independent, and span all that can happen.
    """
    n = len(readings)
    latent, output = np.zeros((n, HISTORY)), np.zeros((n, HISTORY))
    for i, row in enumerate(readings):
        reach = min(i + 1, HISTORY)
        latent[i, :reach] = row[i - reach + 1 : i + 1][::-1]
        output[i, :reach] = row[n + i - reach + 1 : n + i + 1][::-1]
    far = [i for i, row in enumerate(readings) if _reaches_back(row, i, n)]
    if far:
        _fit(readings, far, latent, output)
    return latent, output


def _reaches_back(row: Array, i: int, n: int) -> bool:
    first = max(0, i - HISTORY + 1)
    behind = np.concatenate([row[:first], row[n : n + first]])
    return bool((np.abs(behind) > READING_TOLERANCE).any())


def _fit(readings: Array, far: list[int], latent: Array, output: Array) -> None:
    n = len(readings)
    # Coordinates: x[0] first, then every e, then every z.
    trajectory = np.zeros((n + 1, 1 + 2 * n))
    trajectory[0, 0] = 1.0
    outputs = np.eye(n, 1 + 2 * n, k=1)
    for i, row in enumerate(readings):
        trajectory[i + 1] = row[:n] @ trajectory[:n] + row[n : 2 * n] @ outputs
        trajectory[i + 1, 1 + n : 1 + 2 * n] += row[2 * n :]
    for i in far:
        for reach in range(2, min(i + 1, HISTORY) + 1):
            window = slice(i - reach + 1, i + 1)
            basis = np.concatenate([trajectory[window][::-1], outputs[window][::-1]])
            target = trajectory[i + 1].copy()
            target[1 + n :] -= readings[i, 2 * n :]
            found = np.linalg.lstsq(basis.T, target, rcond=None)[0]
            residual = np.abs(found @ basis - target).max()
            if residual < FIT_TOLERANCE * max(1.0, np.abs(target).max()):
                latent[i], output[i] = 0.0, 0.0
                latent[i, :reach], output[i, :reach] = found[:reach], found[reach:]
                break
        else:
            raise SamplerRefused(f"step {i} reaches back over more than {HISTORY} steps")


def _check(table: SamplerTable, walk: _Walk) -> None:
    """Compares the table with what the scheduler did to the trial."""
    for i in range(len(table)):
        found = table.noise_coefficients[i] * walk.trial_noise[i]
        for k in range(min(i + 1, HISTORY)):
            found = found + table.latent_coefficients[i, k] * walk.trial_latents[i - k]
            found = found + table.output_coefficients[i, k] * walk.trial_outputs[i - k]
        expected = walk.trial_latents[i + 1]
        error = (found - expected).abs().max().item()
        if not error <= CHECK_TOLERANCE * max(1.0, expected.abs().max().item()):
            raise SamplerRefused(
                f"{table.sampler} at steps={table.steps} is not linear on this model: "
                "its scheduler clips or thresholds"
            )


def _sentence(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return text or type(error).__name__
