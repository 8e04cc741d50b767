"""Pictures a second in one process, decoded: the engine with many in flight, and diffusers."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from families import Family, build_model, gigaflop

from gpu.call_times import compiled_calls, told
from gpu.setting import (
    GUIDANCE,
    PROMPTS,
    SAMPLER,
    STEPS,
    Setting,
    Tree,
    forget_compiled,
    memory,
    say,
)
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.decode import decode
from worker.engine.device import finish
from worker.engine.engine import Engine
from worker.engine.model import Model, prepare
from worker.engine.picture import Picture
from worker.engine.row_plan import RowPlan
from worker.engine.sampler import build_table
from worker.engine.solver import rehearse
from worker.engine.unet_timing import unet_seconds

WAITING = 1.25  # pictures that are here for each in flight: so that some always wait


def pictures(setting: Setting) -> Iterator[Tree]:
    """Of the first family: diffusers one by one and in batches of equal requests, and the engine;
    all of it uncompiled."""
    family = setting.families[0]
    model = build_model(family, setting.device, setting.dtype)
    yield rate(family, "diffusers_one_by_one", diffusers_rate(model, 1))
    yield rate(family, "diffusers_batch", diffusers_rate(model, setting.static_batch))
    yield rate(family, "engine", engine_rate(model, setting))


def other_families(setting: Setting) -> Iterator[Tree]:
    """The engine on what is not in `pictures`, uncompiled."""
    for family in setting.families[1:]:
        model = build_model(family, setting.device, setting.dtype)
        yield rate(family, "engine", engine_rate(model, setting))


def compiled(setting: Setting) -> Iterator[Tree]:
    """The first family, compiled for any number of rows."""
    yield from family_compiled(setting.families[0], setting)


def other_families_compiled(setting: Setting) -> Iterator[Tree]:
    for family in reversed(setting.families[1:]):  # SDXL first, which has a bar
        yield from family_compiled(family, setting)
        forget_compiled(setting.device)


def family_compiled(family: Family, setting: Setting) -> Iterator[Tree]:
    model = build_model(family, setting.device, setting.dtype)
    model = prepare(model, CallOptions(compiles=True))
    began = time.perf_counter()
    unet_seconds(model, 2, model.native_shape)
    compile_the_rest(model)
    compiled_in_s = time.perf_counter() - began
    say(f"{family.name}: compiled in {compiled_in_s:.0f} s")
    found = engine_rate(model, setting) | {"compiled_in_s": compiled_in_s}
    yield rate(family, "engine_compiled", found)
    yield from compiled_calls(model, family, setting)


def compiled_by_count(setting: Setting) -> Iterator[Tree]:
    """The first family, compiled for a few row counts, and called as is fastest with these."""
    family, plan = setting.families[0], RowPlan(setting.counts)
    model = build_model(family, setting.device, setting.dtype)
    model = prepare(model, CallOptions(compiles=True, plan=plan))
    began = time.perf_counter()
    taken = {rows: unet_seconds(model, rows, model.native_shape) for rows in plan.counts}
    compile_the_rest(model)
    compiled_in_s = time.perf_counter() - began
    yield told("unets", family, "compiled_by_count", taken)
    plan.learn(taken)
    found = engine_rate(model, setting) | {"compiled_in_s": compiled_in_s}
    calls = list(plan.calls(setting.budget_rows))
    yield rate(family, "engine_compiled_by_count", found | {"calls": calls})


def compile_the_rest(model: Model) -> None:
    """What a model has besides its U-Net."""
    shape = model.native_shape
    rehearse(model.advance_call, model.latent_channels, shape, model.device)
    decode(model, torch.zeros(1, model.latent_channels, *shape, device=model.device))


def diffusers_compiled(setting: Setting) -> Iterator[Tree]:
    """As diffusers' documents advise: U-Net and decoder compiled, and laid out channels last."""
    family = setting.families[0]
    model = build_model(family, setting.device, setting.dtype)
    for part in (model.unet, model.vae):
        part.to(memory_format=torch.channels_last)
    model.unet.compile()
    model.vae.decoder.compile()
    found = diffusers_rate(model, setting.static_batch)
    yield rate(family, "diffusers_compiled_batch", found)


def rate(family: Family, name: str, found: Tree) -> Tree:
    of_row, of_picture = gigaflop(family)
    whole = 2 * STEPS * of_row + of_picture
    return {"pictures": {family.name: {"gigaflop_per_picture": whole, name: found}}}


def picture(
    model: Model, prompt: str, seed: int, key: object = None, steps: int = STEPS
) -> Picture:
    table = build_table(SAMPLER, steps, model.scheduler_config)
    return Picture(key or prompt, prompt, "", GUIDANCE, seed, *model.native_size, table)


def engine_rate(model: Model, setting: Setting) -> dict[str, Any]:
    """A new picture comes as soon as one is done; the first ones end one after another."""
    in_flight, rows = setting.in_flight, setting.budget_rows
    engine = Engine(model, RowBudget(rows, model.native_shape))
    keys = count(1)

    def add(steps: int) -> None:
        key = next(keys)
        engine.add(picture(model, PROMPTS[key % len(PROMPTS)], key, key, steps))

    for place in range(int(WAITING * in_flight)):
        add(max(1, STEPS - place * STEPS // in_flight) if place < in_flight else STEPS)
    began, row_steps, step_s, decode_s, developed, spoiled = 0.0, 0, 0.0, 0.0, 0, 0
    warm_until = time.perf_counter() + setting.measured_s
    with memory(model.device) as used:
        while True:
            report = engine.step()
            for _ in (*report.developed, *report.spoiled):
                add(STEPS)
            now = time.perf_counter()
            if began:
                row_steps += report.rows
                step_s += report.text_s + report.step_s
                decode_s += report.decode_s
                developed += len(report.developed)
                spoiled += len(report.spoiled)
                if now - began > setting.measured_s:
                    break
            elif now > warm_until:
                began = now
        finish(model.device)
    found = row_steps / (2 * STEPS) / (now - began)
    say(f"{model.name}, the engine: {found:.2f} pictures/s")
    return {
        "pictures_per_s": found,
        "rows": rows,
        "step_share": step_s / (now - began),
        "decode_share": decode_s / (now - began),
        "ms_per_step": 1000 * step_s / (row_steps / rows),
        "developed": developed,
        "not_finite": spoiled,
        "peak_gb": used[0] / 1e9,
    }


def diffusers_rate(model: Model, batch: int, repeats: int = 2) -> Tree:
    # Imported once the libraries are quiet: it remarks on image processors that we do not use.
    from tests.reference import diffusers_pipeline

    pipeline = diffusers_pipeline(model, SAMPLER)

    def run(steps: int) -> None:
        pipeline(
            ["red apple"] * batch,
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
    found = batch * repeats / (time.perf_counter() - began)
    say(f"diffusers, batches of {batch}: {found:.2f} pictures/s")
    return {"pictures_per_s": found, "batch": batch}
