"""How long the training takes on a machine that does nothing else, and how much memory.

    python benchmarks/training_time.py [--seconds 45] [--json docs/benchmarks/training-cpu.json]

Each stage of the full recipe trains for so many seconds, in a process of its own and a temporary
folder: it begins anew, on copies of the pictures and of the finished parts that it is built on.
Needs the pictures of `python -m training data` and the parts in models/, and changes neither.

A step's time is the mean after the first one. To it comes a look's, as often as the recipe looks.
What comes before the first step (loading, the U-Net's latents) is in the JSON, not in the hours.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from machine import machine

from training.card import STAGES
from training.device import choose_device
from training.errors import TrainingError
from training.loop import Ending, Run, Stage, train
from training.memory import peak
from training.recipes import FULL
from training.stages import run_stage
from training.workshop import Workshop

JSON = Path("docs/benchmarks/training-cpu.json")
COMMANDS = {"vae_with_kl": "kl", "vae_without_kl": "kl"}
"""The stages that are not run by their own name."""
TRAINED = [name for name in STAGES if name != "tokenizer"]  # which takes seconds


@dataclass(frozen=True, slots=True)
class Timed:
    """One stage of the full recipe."""

    fingerprint: str
    steps: int  # of the whole stage
    steps_per_s: float  # looks included
    step_s: float
    look_s: float
    begin_s: float  # until the first step is done
    peak_gb: float  # resident, of the process
    peak_vram_gb: float  # of tensors; 0 without a GPU

    @property
    def hours(self) -> float:
        return self.steps / self.steps_per_s / 3600


def measure(name: str, shop: Workshop, seconds: float) -> Timed:
    """In a process of its own, so that its memory is this stage's alone."""
    began, found = time.monotonic(), []

    def timed(stage: Stage, run: Run) -> Ending:
        first = train(stage, replace(run, deadline=-math.inf))
        begin_s = time.monotonic() - began
        ending = train(stage, replace(run, deadline=time.monotonic() + seconds))
        step_s = (ending.seconds - first.seconds) / (ending.step - first.step)
        look_s = _look(stage, run.folder)
        pace = 1 / (step_s + look_s / run.loop.look_steps)
        most = peak()
        memory = most.memory_bytes / 1e9, most.vram_bytes / 1e9
        steps = run.optimisation.steps
        found.append(Timed(run.fingerprint, steps, pace, step_s, look_s, begin_s, *memory))
        return ending

    run_stage(COMMANDS.get(name, name), replace(shop, train=timed))
    return found[0]


def _look(stage: Stage, folder: Path) -> float:
    began = time.monotonic()
    stage.model.eval()
    with torch.no_grad():
        stage.look(folder, 0)
    return time.monotonic() - began


def measure_all(source: Workshop, seconds: float) -> dict[str, Timed]:
    """Each on copies of what it needs. The U-Net's two stages share the latents."""
    timed = {}
    with (
        tempfile.TemporaryDirectory(prefix="training-") as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        work = Path(folder, "work")
        _copy_work(source.work, work)
        for name in TRAINED:
            models = Path(folder, name)
            _copy_models(source.models, models, without=name)
            shop = replace(source, work=work, models=models)
            timed[name] = pool.submit(measure, name, shop, seconds).result()
            shutil.rmtree(models)
    return timed


def _copy_work(work: Path, to: Path) -> None:
    """Pictures, and latents if there are any; checkpoints stay where they are."""
    if not (work / "pictures").is_dir():
        raise TrainingError(f"{work} holds no pictures: run `python -m training data` first.")
    for name in ("pictures", "latents"):
        if (work / name).is_dir():
            shutil.copytree(work / name, to / name)


def _copy_models(models: Path, to: Path, without: str) -> None:
    for name, folder in STAGES.items():
        if name != without:
            shutil.copytree(models / folder, to / folder)


def show(stages: Mapping[str, Timed]) -> None:
    print(f"{'stage':<16}{'steps/s':>9}{'look, s':>9}{'memory, GB':>12}{'steps':>8}{'hours':>7}")
    for name, timed in stages.items():
        print(
            f"{name:<16}{timed.steps_per_s:>9.2f}{timed.look_s:>9.1f}{timed.peak_gb:>12.1f}"
            f"{timed.steps:>8}{timed.hours:>7.2f}"
        )
    print(f"{'all':<54}{sum(timed.hours for timed in stages.values()):>7.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45.0, help="for each stage")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="with the pictures")
    parser.add_argument("--models", type=Path, default=Path("models"), help="with finished parts")
    parser.add_argument("--json", type=Path, default=JSON, help="file to write the result to")
    options = parser.parse_args()
    source = Workshop(FULL, 0, options.work, options.models, choose_device())
    try:
        stages = measure_all(source, options.seconds)
    except TrainingError as error:
        sys.stderr.write(f"training: {error}\n")
        return 1
    show(stages)
    content = {
        "machine": machine(),
        "stages": {name: asdict(timed) for name, timed in stages.items()},
        "hours": sum(timed.hours for timed in stages.values()),
    }
    options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
