"""What fits on which card, computed without one.

    python benchmarks/memory_table.py [--json FILE]

Stable Diffusion 1.5, 2.1 and SDXL in float16, from their published configurations. Tensors are
counted on torch's `meta` device; what convolutions and attention use inside themselves is not, so
the counts are scaled by what one H100 measured (docs/benchmarks/gpu-h100.json), by the worst of the
three families. A worker on a GPU measures all of it itself at its start.
"""

import argparse
import json
import math
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import diffusers
import torch
from families import FAMILIES, POOLED, TIME_IDS, Family, build_unet, build_vae, caller
from given import new_file
from simulated.step_times import measured_run
from torch import Tensor

from worker.engine.device_memory import RESERVE
from worker.engine.live_bytes import live_peak
from worker.engine.memory import META, Calls, needs_of, weight_bytes
from worker.engine.memory_plan import MemoryPlan, Need, Needs, bytes_of_one, plan_memory
from worker.engine.model import UnetCall, call_vae

MEASURED = Path("docs/benchmarks/gpu-h100.json")
MEASURED_ROWS, MEASURED_PICTURES = 32, 8
TEXT_ENCODER_MILLIONS = {"SD 1.5": 123, "SD 2.1": 340, "SDXL": 123 + 693}
"""Parameters."""

CONTEXT_BYTES = 500e6
"""What CUDA and its libraries take of a card beside tensors: a guess."""

CARDS_GIB = (4, 6, 8, 12, 16, 24, 80)
PROMPTS = 512
RECORDED = 2  # U-Net calls whose memory is held at a time where they are recorded


def needs(family: Family) -> Needs:
    """As counted."""
    unet = build_unet(family, META, torch.float16)
    vae = build_vae(family, META, torch.float16)
    width = int(unet.config.cross_attention_dim)
    calls = Calls(call_of(family, caller(unet)), call_vae(vae), META, torch.float16, 4, 77, width)
    native = (family.cells, family.cells)
    found = needs_of(calls, live_peak, native, (2 * family.cells, 2 * family.cells))
    text = 2 * TEXT_ENCODER_MILLIONS[family.name] * 1_000_000
    weights = weight_bytes(unet) + weight_bytes(vae) + text
    return replace(found, fixed=weights + int(PROMPTS * found.kept_per_row / 2))


def call_of(family: Family, call: UnetCall) -> UnetCall:
    if not family.has_sizes:
        return call

    def sized(latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        rows = len(latents)
        pooled = latents.new_zeros(rows, POOLED)
        return call(latents, timesteps, conditioning, pooled, latents.new_zeros(rows, TIME_IDS))

    return sized


def factors(counted: dict[str, Needs], measured: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Measured over counted bytes, weights apart."""
    found = {}
    for family in FAMILIES:
        cells = family.cells**2
        unet, vae = (
            weight_bytes(build(family, META, torch.float16)) for build in (build_unet, build_vae)
        )
        rows = measured["unets"][family.name]["peak_gb"] * 1e9 - unet
        pictures = measured["decoders"][family.name]["peak_gb"] * 1e9 - vae
        need = counted[family.name]
        found[family.name] = {
            "unet": rows / need.unet.bytes(MEASURED_ROWS * cells),
            "decoder": pictures / need.decoder.bytes(MEASURED_PICTURES * cells),
        }
    return found


def scaled(need: Need, factor: float) -> Need:
    return Need(need.fixed * factor, need.per_cell * factor)


def planned(family: Family, needs: Needs, gib: int) -> dict[str, object]:
    limit = int((gib * 2**30 - CONTEXT_BYTES) * (1 - RESERVE))
    native = (family.cells, family.cells)
    try:
        plan = plan_memory(needs, limit, native, 2 * family.cells, RECORDED)
    except ValueError:
        return {"fits": False, "takes_gb": bytes_of_one(needs, native, RECORDED) / 1e9}
    return {
        "fits": True,
        "rows": plan.rows(native),
        "largest_side": plan.side * family.side // family.cells,
        "largest_whole": largest_whole(plan) * family.side // family.cells,
        "decoded_at_once": plan.pictures(native),
    }


def largest_whole(plan: MemoryPlan) -> int:
    """Side of the largest square picture that is not tiled, in cells."""
    cells = (plan.decoding - plan.needs.decoder.fixed) / plan.needs.decoder.per_cell
    return min(plan.side, math.isqrt(int(cells)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    diffusers.logging.set_verbosity_error()
    counted = {family.name: needs(family) for family in FAMILIES}
    found = factors(counted, measured_run(MEASURED))
    worst = {part: max(each[part] for each in found.values()) for part in ("unet", "decoder")}
    result: dict[str, object] = {"computed": True, "measured_over_counted": found, "families": {}}
    for family in FAMILIES:
        need = counted[family.name]
        need = replace(
            need,
            unet=scaled(need.unet, worst["unet"]),
            decoder=scaled(need.decoder, worst["decoder"]),
        )
        cells = family.cells**2
        cards = {gib: planned(family, need, gib) for gib in CARDS_GIB}
        result["families"][family.name] = {
            "counted": asdict(counted[family.name]),
            "fixed_mb": need.fixed / 1e6,
            "row_mb": need.unet.bytes(cells) / 1e6,
            "kept_mb": need.kept(cells) / 1e6,
            "picture_mb": need.decoder.bytes(cells) / 1e6,
            "cards": cards,
        }
        print(f"{family.name}: {need.fixed / 1e9:.2f} GB, and of the native size")
        for name, taken in (
            ("a row", need.unet.bytes(cells)),
            ("kept of it", need.kept(cells)),
            ("a picture that is decoded", need.decoder.bytes(cells)),
        ):
            print(f"  {name}: {taken / 1e6:.1f} MB")
        for gib, card in cards.items():
            print(f"  {gib} GiB: {card}")
    print({name: {k: round(v, 2) for k, v in each.items()} for name, each in found.items()})
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
