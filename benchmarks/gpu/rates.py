"""Pictures a second in one process, decoded: the engine with many in flight, and diffusers."""

import time
from itertools import count

from families import Family, build_model

from gpu.setting import GUIDANCE, PROMPTS, SAMPLER, STEPS, Setting, memory, say
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.device import finish
from worker.engine.engine import Engine
from worker.engine.model import Model, prepare
from worker.engine.picture import Picture
from worker.engine.sampler import build_table


def pictures(setting: Setting) -> dict[str, object]:
    """Of the first family: diffusers one by one and in batches of equal requests, the engine, and
    all of it compiled."""
    model = build_model(setting.families[0], setting.device, setting.dtype)
    batch = setting.static_batch
    found: dict[str, object] = {"diffusers_one_by_one": diffusers_rate(model, 1)}
    found["diffusers_batch"] = diffusers_rate(model, batch)
    found["engine"] = engine_rate(model, setting)
    if setting.compiles:
        compiled = prepare(model, CallOptions(compiles=True))
        found["engine_compiled"] = engine_rate(compiled, setting)
        model.unet.compile()
        model.vae.decoder.compile()
        found["diffusers_compiled_batch"] = diffusers_rate(model, batch)
    return found


def other_families(setting: Setting) -> dict[str, object]:
    """The engine on what is not measured in `pictures`, as fast as the setting has it."""
    return {family.name: family_rate(family, setting) for family in setting.families[1:]}


def family_rate(family: Family, setting: Setting) -> dict[str, float]:
    model = build_model(family, setting.device, setting.dtype)
    if setting.compiles:
        model = prepare(model, CallOptions(compiles=True))
    return engine_rate(model, setting)


def picture(
    model: Model, prompt: str, seed: int, key: object = None, steps: int = STEPS
) -> Picture:
    table = build_table(SAMPLER, steps, model.scheduler_config)
    return Picture(key or prompt, prompt, "", GUIDANCE, seed, *model.native_size, table)


def engine_rate(model: Model, setting: Setting) -> dict[str, float]:
    """A new picture comes as soon as one is done; the first ones end one after another."""
    in_flight = setting.in_flight
    engine = Engine(model, RowBudget(2 * in_flight, model.native_shape))
    keys = count(1)

    def add(steps: int) -> None:
        key = next(keys)
        engine.add(picture(model, PROMPTS[key % len(PROMPTS)], key, key, steps))

    for place in range(in_flight):
        add(max(1, STEPS - place * STEPS // in_flight))
    began, row_steps, step_s, decode_s, developed, spoiled = 0.0, 0, 0.0, 0.0, 0, 0
    warm_until = time.perf_counter() + setting.measured_s / 2
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
    rate = row_steps / (2 * STEPS) / (now - began)
    say(f"{model.name}: {rate:.2f} pictures/s")
    return {
        "pictures_per_s": rate,
        "rows": 2 * in_flight,
        "step_share": step_s / (now - began),
        "decode_share": decode_s / (now - began),
        "ms_per_step": 1000 * step_s / (row_steps / (2 * in_flight)),
        "developed": developed,
        "not_finite": spoiled,
        "peak_gb": used[0] / 1e9,
    }


def diffusers_rate(model: Model, batch: int, repeats: int = 2) -> float:
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
    rate = batch * repeats / (time.perf_counter() - began)
    say(f"diffusers, batches of {batch}: {rate:.2f} pictures/s")
    return rate
