"""What a GPU does with the engine: exactness of fp16 against fp32, and the engine's benchmark.

python benchmarks/gpu_report.py [--checkpoint models/starter] [--json FILE]
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from engine import Bench, machine, show, summary

from worker.engine.engine import Engine
from worker.engine.picture import Picture
from worker.engine.sampler import build_table
from worker.settings import WorkerSettings
from worker.start import start_engine

PSNR_BAR_DB = 50.0
PROMPTS = ("red apple", "rocket", "cat face", "sunflower")


def pictures(engine: Engine) -> np.ndarray:
    """[pictures, height, width, 3], 30 steps each."""
    width, height = engine.model.native_size
    table = build_table("dpmpp_2m_karras", 30, engine.model.scheduler_config)
    for seed, prompt in enumerate(PROMPTS):
        engine.add(Picture(seed, prompt, "", 7.5, seed, width, height, table))
    found = {}
    while not engine.is_idle:
        report = engine.step()
        if report.spoiled:
            raise report.spoiled[0].error
        found |= {picture.key: picture.pixels for picture in report.developed}
    return np.stack([found[seed] for seed in range(len(PROMPTS))])


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, in dB."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("models/starter"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "torch finds no GPU on this machine; there is nothing to report\n")
    engines = {
        dtype: start_engine(
            WorkerSettings(checkpoint=options.checkpoint, device="cuda", dtype=dtype, max_rows=16)
        )
        for dtype in ("float32", "float16")
    }
    decibels = psnr(*(pictures(engine) for engine in engines.values()))
    verdict = "PASS" if decibels >= PSNR_BAR_DB else "MISS"
    print(machine())
    print(f"float16 against float32: {decibels:.1f} dB (bar: at least {PSNR_BAR_DB}): {verdict}")
    bench = Bench(engines["float16"])
    bench.round()
    result = summary([bench.round() for _ in range(options.rounds)])
    show(result)
    if options.json:
        content = {"machine": machine(), "psnr_db": decibels, "result": result}
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
