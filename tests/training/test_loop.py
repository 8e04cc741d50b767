"""A run that is stopped and goes on is the same run."""

import errno
import io
import math
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.samples import fill
from training.checkpoint import DIGEST_BYTES, STATE
from training.data import PictureSet, held_out
from training.errors import Interrupted, TrainingError
from training.files import digest
from training.loop import Ending, Loss, Run, train
from training.memory import Peak
from training.optimiser import Trained, rate_at
from training.order import Draw
from training.recipe import Optimisation
from training.recipes import TINY
from training.vae import VaeStage

STEPS = TINY.vae.optimisation.steps


class Recorded:
    """A tiny autoencoder that remembers its losses."""

    name = "vae"

    def __init__(self, pictures: PictureSet, after: Callable[[int], None] | None = None) -> None:
        torch.manual_seed(0)
        is_held_out = held_out(pictures, TINY.data)
        self.stage = VaeStage("vae", TINY.vae, pictures, is_held_out, torch.device("cpu"))
        self.model: nn.Module = self.stage.model
        self.losses: list[float] = []
        self._after = after

    def trained(self) -> list[Trained]:
        return self.stage.trained()

    def loss(self, draw: Draw) -> Loss:
        loss = self.stage.loss(draw)
        self.losses.append(loss.total.item())
        if self._after:
            self._after(draw.step)
        return loss

    def look(self, folder: Path, step: int) -> Mapping[str, float]:
        return {"step": step}

    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.model.parameters())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(TINY.vae.optimisation, TINY.loop, "mark", 7, torch.device("cpu"), tmp_path / "vae")


def finish(pictures: PictureSet, run: Run) -> tuple[list[float], torch.Tensor]:
    """Trains in as many pieces as it takes."""
    losses: list[float] = []
    for _ in range(STEPS):
        stage = Recorded(pictures)
        ending = train(stage, run)
        losses += stage.losses
        if ending.is_finished:
            return losses, stage.weights()
    raise AssertionError("not finished")


def test_resuming_gives_the_same_losses_and_weights_as_not_stopping(
    pictures: PictureSet, run: Run, tmp_path: Path
) -> None:
    whole = finish(pictures, run)
    pieces = finish(pictures, replace(run, folder=tmp_path / "pieces", deadline=-math.inf))
    assert len(whole[0]) == STEPS
    assert whole[0] == pieces[0]
    assert torch.equal(whole[1], pieces[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_step_and_the_next_run_goes_on(
    pictures: PictureSet, run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    def ask(step: int) -> None:
        if step == 1:
            signal.raise_signal(number)

    stage = Recorded(pictures, after=ask)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="saved at step 2 of 4") as caught:
        train(stage, run)
    assert caught.value.signal_number == number
    assert signal.getsignal(signal.SIGTERM) == before
    rest = finish(pictures, run)
    whole = finish(pictures, replace(run, folder=tmp_path / "whole"))
    assert stage.losses + rest[0] == whole[0]
    assert torch.equal(rest[1], whole[1])


def test_a_piece_whose_time_is_over_is_not_finished(pictures: PictureSet, run: Run) -> None:
    ending = train(Recorded(pictures), replace(run, deadline=-math.inf))
    assert ending == Ending(False, 1, ending.seconds, {}, ending.peak)


def test_a_finished_run_trains_no_more(pictures: PictureSet, run: Run) -> None:
    first = finish(pictures, run)
    stage = Recorded(pictures)
    ending = train(stage, run)
    assert ending.is_finished
    assert stage.losses == []
    assert torch.equal(stage.weights(), first[1])


def test_the_checkpoint_of_another_recipe_is_refused(pictures: PictureSet, run: Run) -> None:
    train(Recorded(pictures), replace(run, deadline=-math.inf))
    with pytest.raises(TrainingError, match=r"belongs to another recipe.*delete it"):
        train(Recorded(pictures), replace(run, fingerprint="other"))


def test_a_damaged_checkpoint_is_named(pictures: PictureSet, run: Run) -> None:
    train(Recorded(pictures), replace(run, deadline=-math.inf))
    path = run.folder / STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="is damaged: delete it"):
        train(Recorded(pictures), run)


def test_a_full_disk_keeps_the_last_checkpoint(
    pictures: PictureSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Recorded(pictures), replace(run, deadline=-math.inf))
    before = (run.folder / STATE).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"No space left.*what was finished"):
        train(Recorded(pictures), run)
    assert (run.folder / STATE).read_bytes() == before
    assert not list(run.folder.glob(".*.new"))


def test_a_disk_that_is_full_when_a_piece_begins_keeps_the_last_checkpoint(
    pictures: PictureSet, run: Run, small_disk: Path
) -> None:
    here = replace(run, folder=small_disk / "vae")
    train(Recorded(pictures), replace(here, deadline=-math.inf))
    before = (here.folder / STATE).read_bytes()
    fill(small_disk)
    with pytest.raises(TrainingError, match="No space left on device"):
        train(Recorded(pictures), here)
    assert (here.folder / STATE).read_bytes() == before
    (small_disk / "full").unlink()
    assert train(Recorded(pictures), here).is_finished


def test_the_peak_is_that_of_all_pieces(
    pictures: PictureSet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.peak", lambda: Peak(10**15, 7))
    train(Recorded(pictures), replace(run, deadline=-math.inf))
    monkeypatch.undo()
    assert train(Recorded(pictures), run).peak == Peak(10**15, 7)


def test_a_checkpoint_of_before_the_peak_was_kept_goes_on(pictures: PictureSet, run: Run) -> None:
    train(Recorded(pictures), replace(run, deadline=-math.inf))
    path, buffer = run.folder / STATE, io.BytesIO()
    saved = torch.load(io.BytesIO(path.read_bytes()[DIGEST_BYTES:]), weights_only=True)
    torch.save({name: saved[name] for name in saved if not name.startswith("peak_")}, buffer)
    path.write_bytes(digest(buffer.getvalue()).encode() + buffer.getvalue())
    ending = train(Recorded(pictures), run)
    assert ending.is_finished
    assert ending.peak.memory_bytes > 0


def test_a_loss_that_is_no_number_ends_the_run(pictures: PictureSet, run: Run) -> None:
    stage = Recorded(pictures)
    with torch.no_grad():
        next(iter(stage.model.parameters())).fill_(math.nan)
    with pytest.raises(TrainingError, match="no longer a number at step 1"):
        train(stage, run)


def test_weights_that_are_no_numbers_do_not_replace_the_last_checkpoint(
    pictures: PictureSet, run: Run
) -> None:
    seldom = replace(run, loop=replace(run.loop, log_steps=100), deadline=-math.inf)
    train(Recorded(pictures), seldom)
    before = (run.folder / STATE).read_bytes()

    def spoil(step: int) -> None:
        with torch.no_grad():
            next(iter(stage.model.parameters())).fill_(math.nan)

    stage = Recorded(pictures, after=spoil)
    with pytest.raises(TrainingError, match="no longer a number at step 2"):
        train(stage, seldom)
    assert (run.folder / STATE).read_bytes() == before


def test_the_rate_rises_stays_and_falls() -> None:
    recipe = Optimisation(
        steps=100, batch=1, learning_rate=1.0, warmup_steps=10, decay_from=0.6, decay="linear"
    )
    assert rate_at(0, recipe) == pytest.approx(0.1)
    assert rate_at(9, recipe) == rate_at(60, recipe) == 1.0
    assert rate_at(80, recipe) == pytest.approx(0.5)
    assert rate_at(99, recipe) == pytest.approx(0.025)
