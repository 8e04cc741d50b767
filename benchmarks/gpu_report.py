"""What a GPU does with darkroom: exactness, U-Net and decoder times, pictures per second, memory.

    python benchmarks/gpu_report.py [--only SECTION ...] [--compile] [--json FILE] [--report FILE]

Needs no download: beside the starter it builds Stable Diffusion 1.5, 2.1 and SDXL from their
published configurations with random weights. `--small` runs every section on tiny models, on any
machine, to see that it works. A section that fails is reported, and the others go on.
"""

import argparse
import json
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from engine import Bench, machine, summary
from families import (
    FAMILIES,
    SD15,
    SMALL,
    Family,
    arguments,
    build_model,
    build_unet,
    build_vae,
    caller,
    gigaflop,
)
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.compiled import CompiledOneByOne, CompiledRows
from worker.engine.device import finish
from worker.engine.engine import Engine
from worker.engine.model import Model, call_vae, load_model, prepare
from worker.engine.picture import Picture
from worker.engine.recorder import Recorder
from worker.engine.sampler import build_table

STARTER = Path("models/starter")
PSNR_BAR_DB = 50.0
PROMPTS = ("red apple", "rocket", "cat face", "sunflower")
SAMPLER, STEPS, GUIDANCE = "dpmpp_2m_karras", 30, 7.5
IN_FLIGHT = 16  # pictures
STATIC_BATCH = 8  # pictures
ENOUGH_S = 0.4  # of repeats of one call

Section = Callable[["Setting"], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the sections run on."""

    device: torch.device
    dtype: torch.dtype
    families: tuple[Family, ...]
    rows: tuple[int, ...]
    measured_s: float  # of the engine's pictures per second
    compiles: bool


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """The median of repeated calls after two that are not counted."""
    taken: list[float] = []
    for attempt in range(100):
        finish(device)
        began = time.perf_counter()
        call()
        finish(device)
        if attempt > 1:
            taken.append(time.perf_counter() - began)
        if len(taken) > 2 and sum(taken) > ENOUGH_S:
            break
    return statistics.median(taken)


def ceilings(setting: Setting) -> dict[str, float]:
    """What the device does at most: matrix products, and copies within its memory."""
    side = 8192 if setting.device.type == "cuda" else 256
    one, other = (
        torch.randn(side, side, device=setting.device, dtype=setting.dtype) for _ in range(2)
    )
    product = seconds(lambda: one @ other, setting.device)
    source = torch.empty(side * side * 4, device=setting.device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), setting.device)
    return {
        "matmul_tflops": 2 * side**3 / product / 1e12,
        "copy_tb_per_s": 2 * source.nbytes / copy / 1e12,
    }


def exactness(setting: Setting) -> dict[str, float]:
    """The starter in half precision against float32, and recorded calls against plain ones."""
    half = load_model(STARTER, setting.device, setting.dtype)
    whole = load_model(STARTER, setting.device, torch.float32)
    plain = load_model(STARTER, setting.device, setting.dtype, CallOptions(records=False))
    on_cpu = load_model(STARTER, torch.device("cpu"), torch.float32)
    drawn = draw(half)
    found = {
        "half_against_float32_db": psnr(drawn, draw(whole)),
        "recorded_against_plain_db": psnr(drawn, draw(plain)),
        "float32_against_cpu_db": psnr(draw(whole), draw(on_cpu)),
        "alone_against_together_db": psnr(
            np.concatenate([draw(half, (prompt,)) for prompt in PROMPTS]), drawn
        ),
    }
    if setting.compiles:
        compiled = load_model(STARTER, setting.device, setting.dtype, CallOptions(compiles=True))
        found["compiled_against_plain_db"] = psnr(draw(compiled), drawn)
    return found


def draw(model: Model, prompts: tuple[str, ...] = PROMPTS) -> np.ndarray:
    """[pictures, height, width, 3], developed together; each prompt has its own seed."""
    engine = Engine(model, RowBudget(2 * len(PROMPTS), model.native_shape))
    for prompt in prompts:
        engine.add(picture(model, prompt, PROMPTS.index(prompt)))
    found = {}
    while not engine.is_idle:
        report = engine.step()
        if report.spoiled:
            raise report.spoiled[0].error
        found |= {made.key: made.pixels for made in report.developed}
    return np.stack([found[prompt] for prompt in prompts])


def picture(
    model: Model, prompt: str, seed: int, key: object = None, steps: int = STEPS
) -> Picture:
    table = build_table(SAMPLER, steps, model.scheduler_config)
    return Picture(key or prompt, prompt, "", GUIDANCE, seed, *model.native_size, table)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, in dB; 100 for equal ones."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def starter(setting: Setting) -> dict[str, object]:
    """benchmarks/engine.py on the starter."""
    model = load_model(STARTER, setting.device, setting.dtype)
    found = Bench(Engine(model, RowBudget(IN_FLIGHT * 2, model.native_shape)))
    found.round()
    return summary([found.round() for _ in range(2)])


def unets(setting: Setting) -> dict[str, object]:
    """U-Net calls by row count: as diffusers has it, recorded, and compiled and recorded."""
    found = {}
    for family in setting.families:
        giga, _ = gigaflop(family)
        with memory(setting.device) as used:
            times = unet_times(setting, family)
        found[family.name] = {
            "gigaflop_per_row": giga,
            "seconds": times,
            "tflops": {
                mode: {rows: giga * rows / taken / 1000 for rows, taken in by_rows.items()}
                for mode, by_rows in times.items()
            },
            "peak_gb": used[0] / 1e9,
        }
        say(f"{family.name}: {json.dumps(found[family.name]['tflops'], default=str)}")
    return found


@torch.inference_mode()
def unet_times(setting: Setting, family: Family) -> dict[str, dict[int, float]]:
    unet = build_unet(family, setting.device, setting.dtype)
    call = caller(unet)

    def times(function: Callable[..., Tensor]) -> dict[int, float]:
        return {
            rows: seconds(partial(function, *arguments(family, rows, unet)), setting.device)
            for rows in setting.rows
        }

    found = {"diffusers": times(call)}
    records = setting.device.type == "cuda"
    if records:
        found["recorded"] = times(Recorder(call))
    if setting.compiles:
        unet.to(memory_format=torch.channels_last)
        began = time.perf_counter()
        compiled = CompiledRows(call, (family.cells, family.cells))
        compiled(*arguments(family, 2, unet))
        finish(setting.device)
        say(f"{family.name}: compiled in {time.perf_counter() - began:.0f} s")
        found["compiled"] = times(Recorder(compiled) if records else compiled)
    return found


def decoders(setting: Setting) -> dict[str, object]:
    """The VAE's decoder by pictures a call."""
    found = {}
    for family in setting.families:
        _, giga = gigaflop(family)
        vae = build_vae(family, setting.device, setting.dtype)
        latents = {
            count: torch.randn(
                count, 4, family.cells, family.cells, device=setting.device, dtype=setting.dtype
            )
            for count in (1, 2, 4, 8)
        }
        calls = {"diffusers": call_vae(vae)}
        times = {}
        with memory(setting.device) as used, torch.inference_mode():
            if setting.compiles:
                calls["compiled"] = CompiledOneByOne(
                    calls["diffusers"], (family.cells, family.cells)
                )
            for mode, call in calls.items():
                if mode == "compiled":
                    vae.to(memory_format=torch.channels_last)
                times[mode] = {
                    count: seconds(partial(call, given), setting.device)
                    for count, given in latents.items()
                }
        found[family.name] = {
            "gigaflop_per_picture": giga,
            "seconds": times,
            "tflops": {
                mode: {count: giga * count / taken / 1000 for count, taken in by_count.items()}
                for mode, by_count in times.items()
            },
            "peak_gb": used[0] / 1e9,
        }
    return found


def pictures(setting: Setting) -> dict[str, object]:
    """Pictures a second, decoded, 30 steps with guidance: the engine with 16 in flight, and
    diffusers one by one and in batches of 8."""
    family = setting.families[0]
    model = build_model(family, setting.device, setting.dtype)
    found: dict[str, object] = {"diffusers_one_by_one": diffusers_rate(model, 1, 2)}
    found["diffusers_batch"] = diffusers_rate(model, STATIC_BATCH, 2)
    found["engine"] = engine_rate(model, setting)
    if setting.compiles:
        compiled = prepare(model, CallOptions(compiles=True))
        found["engine_compiled"] = engine_rate(compiled, setting)
        model.unet.compile()
        model.vae.decoder.compile()
        found["diffusers_compiled_batch"] = diffusers_rate(model, STATIC_BATCH, 2)
    return found


def engine_rate(model: Model, setting: Setting) -> dict[str, float]:
    """A new picture comes as soon as one is done; the first ones end one after another."""
    engine = Engine(model, RowBudget(2 * IN_FLIGHT, model.native_shape))
    tables = {
        steps: build_table(SAMPLER, steps, model.scheduler_config) for steps in range(1, STEPS + 1)
    }
    started = 0

    def add(steps: int) -> None:
        nonlocal started
        started += 1
        prompt = PROMPTS[started % len(PROMPTS)]
        size = model.native_size
        engine.add(Picture(started, prompt, "", GUIDANCE, started, *size, tables[steps]))

    for place in range(IN_FLIGHT):
        add(max(1, STEPS - place * STEPS // IN_FLIGHT))
    ready, began, row_steps, step_s, done, lost = False, 0.0, 0, 0.0, 0, 0
    warm_until = time.perf_counter() + setting.measured_s / 2
    while True:
        report = engine.step()
        for _ in (*report.developed, *report.spoiled):
            add(STEPS)
        now = time.perf_counter()
        if ready:
            row_steps += report.rows
            step_s += report.text_s + report.step_s
            done += len(report.developed)
            lost += len(report.spoiled)
            if now - began > setting.measured_s:
                break
        elif now > warm_until:
            ready, began = True, now
    return {
        "pictures_per_s": row_steps / (2 * STEPS) / (now - began),
        "rows": 2 * IN_FLIGHT,
        "step_share": step_s / (now - began),
        "ms_per_step": 1000 * step_s / (row_steps / (2 * IN_FLIGHT)),
        "developed": done,
        "not_finite": lost,
    }


def diffusers_rate(model: Model, count: int, repeats: int) -> float:
    # Imported once the libraries are quiet, as in engine.py.
    from tests.reference import diffusers_pipeline

    pipeline = diffusers_pipeline(model, SAMPLER)

    def run(steps: int) -> None:
        pipeline(
            ["red apple"] * count,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            output_type="np",
        )

    run(3)
    finish(model.device)
    began = time.perf_counter()
    for _ in range(repeats):
        run(STEPS)
    finish(model.device)
    return count * repeats / (time.perf_counter() - began)


def kernels(setting: Setting) -> dict[str, object]:
    """Where a step's time goes, by kernel, and what the host waits for."""
    model = build_model(setting.families[0], setting.device, setting.dtype)
    engine = Engine(model, RowBudget(2 * STATIC_BATCH, model.native_shape))
    for seed in range(STATIC_BATCH):
        engine.add(picture(model, PROMPTS[seed % len(PROMPTS)], seed, key=seed + 1))
    for _ in range(4):
        engine.step()
    activities = [ProfilerActivity.CPU]
    if setting.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        for _ in range(3):
            engine.step()
    key = "self_device_time_total" if setting.device.type == "cuda" else "self_cpu_time_total"
    averages = sorted(profiler.key_averages(), key=lambda each: -getattr(each, key))
    return {
        "three_steps_ms": {
            each.key[:90]: [round(getattr(each, key) / 1000, 3), each.count]
            for each in averages[:25]
        }
    }


@contextmanager
def memory(device: torch.device) -> Iterator[list[int]]:
    """The most bytes allocated on the device meanwhile."""
    used = [0]
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    yield used
    if device.type == "cuda":
        used[0] = torch.cuda.max_memory_allocated(device)


def say(text: str) -> None:
    print(f"[{time.perf_counter() - BEGAN:5.0f} s] {text}", flush=True)


SECTIONS: Mapping[str, Section] = {
    "ceilings": ceilings,
    "exactness": exactness,
    "pictures": pictures,
    "unets": unets,
    "decoders": decoders,
    "starter": starter,
    "kernels": kernels,
}
BEGAN = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--family", nargs="+", help="names, such as SDXL; default: all")
    parser.add_argument("--compile", action="store_true", help="compiled U-Nets as well; minutes")
    parser.add_argument("--small", action="store_true", help="tiny models, on any machine")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        parser.exit(1, "torch finds no GPU on this machine; there is nothing to report\n")
    warnings.simplefilter("ignore")
    diffusers.logging.set_verbosity_error()
    on_gpu = torch.cuda.is_available()
    families = tuple(each for each in FAMILIES if each.name in (options.family or [each.name]))
    setting = Setting(
        device=torch.device("cuda" if on_gpu else "cpu"),
        dtype=torch.float16 if on_gpu else torch.bfloat16,
        families=(SMALL,) if options.small else families or (SD15,),
        rows=(2, 4) if options.small else (1, 2, 4, 8, 16, 32),
        measured_s=1.0 if options.small else 8.0,
        compiles=options.compile,
    )
    result: dict[str, object] = {"machine": machine()}
    for name in options.only:
        try:
            result[name] = SECTIONS[name](setting)
        except Exception:
            result[name] = {"failed": traceback.format_exc()}
        say(f"{name}: {json.dumps(result[name], default=str)[:3000]}")
        if on_gpu:
            torch.cuda.empty_cache()
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
