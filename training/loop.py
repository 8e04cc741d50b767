"""The one training loop: for the autoencoder, for CLIP and for the U-Net.

draw        what this step sees is a function of seed and step
descend     loss, gradients, one step of AdamW, the moving average
watch       a bar with loss and remaining time, TensorBoard files, now and then a look
save        every few minutes, at a signal, when the piece's time is over, at the end
"""

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training import checkpoint
from training.device import mixed_precision
from training.errors import Interrupted, TrainingError
from training.interruption import asked_to_stop
from training.journal import Journal
from training.memory import Peak, peak
from training.optimiser import Average, Trained, make_optimiser, set_rate
from training.order import Draw, draw_of
from training.recipe import LoopRecipe, Optimisation


@dataclass(frozen=True, slots=True)
class Loss:
    total: Tensor  # scalar float32, what is minimised
    parts: Mapping[str, Tensor]  # scalars, to be watched


class Stage(Protocol):
    """What the loop needs to know of what it trains."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> nn.Module:
        """Everything that is trained, on the device."""
        ...

    def trained(self) -> list[Trained]: ...

    def loss(self, draw: Draw) -> Loss: ...

    def look(self, folder: Path, step: int) -> Mapping[str, float]:
        """Measures the model as it is; may leave a picture in the folder."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """How, where and until when a stage is trained."""

    optimisation: Optimisation
    loop: LoopRecipe
    fingerprint: str
    seed: int
    device: torch.device
    folder: Path  # of checkpoint, logs and looks
    deadline: float = math.inf  # by time.monotonic(), when this piece ends


@dataclass(frozen=True, slots=True)
class Ending:
    is_finished: bool  # or else it goes on at the next run
    step: int
    seconds: float  # of training, over all pieces
    measured: Mapping[str, float]  # the last look's; empty if unfinished
    peak: Peak = field(default_factory=Peak)  # over all pieces
    signal_number: int = 0  # of the signal that asked for the end while it finished


@dataclass(slots=True)
class _Training:
    """A stage between its steps."""

    stage: Stage
    run: Run
    optimiser: torch.optim.AdamW
    average: Average
    step: int = 0
    seconds_before: float = 0.0
    peak_before: Peak = field(default_factory=Peak)
    began: float = field(default_factory=time.monotonic)
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    @property
    def peak(self) -> Peak:
        return self.peak_before.or_more(peak())

    @property
    def is_done(self) -> bool:
        return self.step >= self.run.optimisation.steps

    @property
    def is_save_due(self) -> bool:
        return time.monotonic() - self.saved_at > 60 * self.run.loop.save_minutes

    def is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.is_done


def train(stage: Stage, run: Run) -> Ending:
    """Trains until the stage is done or the piece's time is over; the weights are the average's
    when it is done.

    Raises:
        Interrupted: a signal asked for the end; the state is saved.
        TrainingError: the loss is no longer a number, the checkpoint is foreign or damaged, or
            the disk is full.
    """
    training = _begin(stage, run)
    with (
        asked_to_stop() as asked,
        Journal(run.folder / "logs", training.step) as journal,
        _bar(training) as bar,
    ):
        while not training.is_done:
            loss = _descend(training)
            _watch(training, loss, journal, bar)
            if asked:
                _save(training)
                raise _interrupted(training, asked[0])
            if time.monotonic() > run.deadline and not training.is_done:
                _save(training)
                return Ending(False, training.step, training.seconds, {}, training.peak)
            if training.is_save_due or training.is_done:
                _save(training)
        ending = _finish(training, journal)
    return replace(ending, signal_number=asked[0]) if asked else ending


def _begin(stage: Stage, run: Run) -> _Training:
    optimiser = make_optimiser(stage.trained(), run.optimisation)
    training = _Training(stage, run, optimiser, Average(stage.model, run.optimisation.ema_decay))
    saved = checkpoint.load(run.folder, run.fingerprint)
    if saved is not None:
        stage.model.load_state_dict(saved.model)
        training.average.restore(saved.average)
        optimiser.load_state_dict(saved.optimiser)
        training.step, training.seconds_before = saved.step, saved.seconds
        training.peak_before = Peak(saved.peak_memory_bytes, saved.peak_vram_bytes)
    stage.model.train()
    return training


def _descend(training: _Training) -> Loss:
    recipe = training.run.optimisation
    set_rate(training.optimiser, training.step, recipe)
    draw = draw_of(training.run.seed, training.step)
    with mixed_precision(training.run.device):
        loss = training.stage.loss(draw)
    training.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.stage.model.parameters(), recipe.clip_norm)
    training.optimiser.step()
    training.average.update(training.step)
    training.step += 1
    return loss


def _watch(training: _Training, loss: Loss, journal: Journal, bar: "tqdm[None]") -> None:
    bar.update()
    loop, step = training.run.loop, training.step
    if training.is_due(loop.log_steps):
        total = float(loss.total.detach())
        if not math.isfinite(total):
            raise _not_finite(training)
        bar.set_postfix_str(f"loss {total:.4f}", refresh=False)
        losses = {"total": loss.total, **loss.parts}
        noted = {f"loss/{name}": float(value.detach()) for name, value in losses.items()}
        journal.note(step, noted | {"learning_rate": training.optimiser.param_groups[0]["lr"]})
    if step % loop.look_steps == 0 and not training.is_done:
        _look(training, journal)


def _look(training: _Training, journal: Journal) -> Mapping[str, float]:
    """At the averaged weights, which are what the stage ends with."""
    stage = training.stage
    stage.model.eval()
    with training.average.applied(), torch.no_grad():
        measured = stage.look(training.run.folder, training.step)
    stage.model.train()
    journal.note(training.step, {f"look/{name}": value for name, value in measured.items()})
    said = ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
    tqdm.write(f"{stage.name}, step {training.step}: {said}", file=sys.stderr)
    return measured


def _finish(training: _Training, journal: Journal) -> Ending:
    measured = _look(training, journal)
    weights = training.stage.model.parameters()
    with torch.no_grad():
        for weight, value in zip(weights, training.average.values, strict=True):
            weight.copy_(value)
    training.stage.model.eval()
    return Ending(True, training.step, training.seconds, measured, training.peak)


def _save(training: _Training) -> None:
    """Weights that are no numbers do not take the place of good ones."""
    if not all(bool(weight.isfinite().all()) for weight in training.stage.model.parameters()):
        raise _not_finite(training)
    checkpoint.save(
        checkpoint.Saved(
            fingerprint=training.run.fingerprint,
            step=training.step,
            seconds=training.seconds,
            peak_memory_bytes=training.peak.memory_bytes,
            peak_vram_bytes=training.peak.vram_bytes,
            model=training.stage.model.state_dict(),
            average=training.average.values,
            optimiser=training.optimiser.state_dict(),
        ),
        training.run.folder,
    )
    training.saved_at = time.monotonic()


def _bar(training: _Training) -> "tqdm[None]":
    return tqdm(
        total=training.run.optimisation.steps,
        initial=training.step,
        desc=training.stage.name,
        unit="step",
        smoothing=0.05,
        mininterval=0.5 if sys.stderr.isatty() else 30.0,
    )


def _interrupted(training: _Training, number: int) -> Interrupted:
    return Interrupted(
        f"{training.stage.name} was interrupted and saved at step {training.step} of "
        f"{training.run.optimisation.steps}: the same command goes on from there.",
        number,
    )


def _not_finite(training: _Training) -> TrainingError:
    return TrainingError(
        f"The loss of {training.stage.name} is no longer a number at step {training.step}: the "
        "last checkpoint is kept; lower the learning rate in recipe.py and begin the stage again."
    )
