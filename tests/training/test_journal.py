"""What TensorBoard shows of a run."""

import os
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.samples import fill
from training.errors import TrainingError
from training.journal import Journal


def shown(folder: Path, name: str = "loss/total") -> list[tuple[int, float]]:
    """Step and value of each point of a curve."""
    records = EventAccumulator(str(folder))
    records.Reload()
    return [(event.step, event.value) for event in records.Scalars(name)]


def test_curves_have_every_step_of_both_pieces(tmp_path: Path) -> None:
    with Journal(tmp_path, 0) as journal:
        journal.note(1, {"loss/total": 4.0})
        journal.note(2, {"loss/total": 3.0})
    with Journal(tmp_path, 2) as journal:
        journal.note(3, {"loss/total": 2.0, "rate": 0.5})
    assert shown(tmp_path) == [(1, 4.0), (2, 3.0), (3, 2.0)]
    assert shown(tmp_path, "rate") == [(3, 0.5)]


def test_steps_after_the_last_checkpoint_are_forgotten(tmp_path: Path) -> None:
    with Journal(tmp_path, 0) as journal:
        for step in (1, 2, 3):
            journal.note(step, {"loss/total": 9.0})
    with Journal(tmp_path, 1) as journal:
        journal.note(2, {"loss/total": 1.0})
    assert shown(tmp_path) == [(1, 9.0), (2, 1.0)]


def test_what_is_noted_is_in_the_file_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.note(1, {"loss/total": 4.0})
    assert shown(tmp_path) == [(1, 4.0)]
    journal.close()


def test_a_device_that_is_full_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    (tmp_path / f"events.out.tfevents.1.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"No space left on device\): make room there"):
        Journal(tmp_path, 0)


def test_a_disk_that_becomes_full_is_one_sentence(small_disk: Path) -> None:
    much = {f"loss/{part}": 4.0 for part in range(1000)}
    with Journal(small_disk, 0) as journal:
        fill(small_disk)
        with pytest.raises(TrainingError, match=r"No space left on device\): make room there"):
            journal.note(1, much)
