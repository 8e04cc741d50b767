"""The engine beside diffusers and beside bare U-Net calls, on one checkpoint in one process.

    python benchmarks/engine.py [--checkpoint FOLDER] [--dtypes float32 bfloat16] [--quick]
        [--json FILE]
    python benchmarks/engine.py --show FILE    # such a JSON as the README's table

(a) diffusers' pipeline, one request after another; (b) diffusers with one static batch of equal
requests; (c) the engine with CONCURRENT mixed requests in flight; (d) bare U-Net calls. All are
denoising only, without text encoding and decoding, in seconds per row and evaluation, and taken in
turns, so that what else the machine does falls on all alike.

Bars: a step of the engine takes at most 1.03 of a bare U-Net call of the same rows; (c) over (a)
reaches 0.95 of what batching can give, (2-row call / 2) over (16-row call / 16); (c) in a second
dtype is at least 2 times (a) in the first one, and 2.5 times is the goal. What the second dtype
costs in pictures is benchmarks/dtype_noise.py's to say.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from given import STARTER, checkpoint, new_file, whole
from machine import machine
from markdown_table import table
from prompts import PROMPTS
from torch.profiler import ProfilerActivity, profile

from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Picture, StepReport
from worker.engine.sampler import SamplerTable, build_table, make_scheduler
from worker.engine.unet_timing import unet_seconds
from worker.settings import WorkerSettings
from worker.start import start_engine

sys.path.insert(0, str(Path(__file__).parent.parent))  # where tests/ is

CONCURRENT = 8
ROWS = (1, 2, 4, 8, 16)
STEP_BAR = 1.03
BATCHING_BAR = 0.95
DTYPE_BAR, DTYPE_GOAL = 2.0, 2.5
MIX = (
    ("dpmpp_2m_karras", 20, 7.5),
    ("euler", 25, 4.0),
    ("lms", 30, 7.5),
    ("ddim", 16, 3.0),
    ("euler_a", 22, 5.0),
    ("unipc", 18, 7.5),
    ("dpmpp_2m_sde", 24, 6.0),
    ("pndm", 28, 9.0),
)


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds per row and evaluation, but for `step_ratio`."""

    one_by_one: float  # (a)
    static_batch: float  # (b)
    engine: float  # (c)
    unet: dict[int, float]  # (d), by rows
    step_ratio: dict[int, float]  # engine step over bare call, by rows

    @property
    def gain(self) -> float:
        return self.one_by_one / self.engine

    @property
    def ceiling(self) -> float:
        return self.unet[2] / self.unet[16]


class Bench:
    def __init__(self, engine: Engine):
        # Imported once the libraries are quiet: it remarks on image processors that we do not use.
        from tests.reference import diffusers_pipeline

        self.model: Model = engine.model
        self.engine = Engine(self.model, RowBudget(2 * CONCURRENT, self.model.native_shape))
        self.pipeline = diffusers_pipeline(self.model, "ddim")
        self.tables = [self._table(name, steps) for name, steps, _ in MIX]

    def round(self) -> Round:
        return Round(
            one_by_one=self.one_by_one(),
            engine=self.mixed(),
            static_batch=self.static_batch(),
            unet={
                rows: unet_seconds(self.model, rows, self.model.native_shape, repeats=5) / rows
                for rows in ROWS
            },
            step_ratio={rows: self.step_ratio(rows) for rows in ROWS if rows > 1},
        )

    def one_by_one(self) -> float:
        """(a)"""
        seconds, work = 0.0, 0
        for n, (name, steps, guidance) in enumerate(MIX):
            seconds += self._diffusers(name, steps, guidance, [PROMPTS[n]])
            work += 2 * len(self.tables[n])
        return seconds / work

    def static_batch(self) -> float:
        """(b)"""
        name, steps, guidance = MIX[0]
        seconds = self._diffusers(name, steps, guidance, list(PROMPTS[:CONCURRENT]))
        return seconds / (2 * CONCURRENT * len(self.tables[0]))

    def mixed(self, requests: int = 3 * CONCURRENT) -> float:
        """(c): a request arrives as one is done; the time counts while all are in flight."""
        waiting = [self._picture(n) for n in range(requests)]
        for _ in range(CONCURRENT):
            self.engine.add(waiting.pop())
        seconds, work = 0.0, 0
        while not self.engine.is_idle:
            report = self._step()
            if report.rows == 2 * CONCURRENT:
                seconds += report.text_s + report.step_s
                work += report.rows
            for _ in report.developed:
                if waiting:
                    self.engine.add(waiting.pop())
        return seconds / work

    def step_ratio(self, rows: int, steps: int = 12) -> float:
        """The median of engine steps over the bare calls that they alternate with."""
        table = self._table("lms", 30)
        for n in range(rows // 2):
            self.engine.add(self._picture(n, table))
        self._step()
        ratios = []
        for _ in range(steps):
            bare = unet_seconds(self.model, rows, self.model.native_shape, repeats=1)
            ratios.append(self._step().step_s / bare)
        while not self.engine.is_idle:
            self._step()
        return statistics.median(ratios)

    def profile_step(self) -> str:
        """Where a step's time goes."""
        for n in range(CONCURRENT):
            self.engine.add(self._picture(n))
        self._step()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(5):
                self._step()
        while not self.engine.is_idle:
            self._step()
        return str(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))

    def _step(self) -> StepReport:
        report = self.engine.step()
        if report.spoiled:
            raise report.spoiled[0].error
        return report

    def _table(self, sampler: str, steps: int) -> SamplerTable:
        return build_table(sampler, steps, self.model.scheduler_config)

    def _picture(self, n: int, table: SamplerTable | None = None) -> Picture:
        width, height = self.model.native_size
        return Picture(
            key=n,
            prompt=PROMPTS[n % len(PROMPTS)],
            negative_prompt="",
            guidance=MIX[n % len(MIX)][2],
            seed=n,
            width=width,
            height=height,
            table=table or self.tables[n % len(MIX)],
        )

    def _diffusers(self, name: str, steps: int, guidance: float, prompts: list[str]) -> float:
        """Seconds of one call of the pipeline on prompts that are encoded beforehand."""
        encode = self.engine.prompts.encode
        embeddings = torch.stack([encode(prompt).embedding for prompt in prompts])
        self.pipeline.scheduler = make_scheduler(name, self.model.scheduler_config)
        began = time.perf_counter()
        self.pipeline(
            prompt_embeds=embeddings,
            negative_prompt_embeds=encode("").embedding.expand_as(embeddings).contiguous(),
            guidance_scale=guidance,
            num_inference_steps=steps,
            generator=[torch.Generator().manual_seed(n) for n in range(len(prompts))],
            output_type="latent",
        )
        return time.perf_counter() - began


def summary(rounds: Sequence[Round]) -> dict[str, object]:
    """Medians over the rounds; ratios are medians of each round's own."""
    step_ratio = {
        rows: statistics.median(each.step_ratio[rows] for each in rounds)
        for rows in rounds[0].step_ratio
    }
    gain = statistics.median(each.gain for each in rounds)
    share = statistics.median(each.gain / each.ceiling for each in rounds)
    worst = max(step_ratio.values())
    return {
        "one_by_one_ms": 1000 * statistics.median(each.one_by_one for each in rounds),
        "static_batch_ms": 1000 * statistics.median(each.static_batch for each in rounds),
        "engine_ms": 1000 * statistics.median(each.engine for each in rounds),
        "unet_ms": {
            rows: 1000 * statistics.median(each.unet[rows] for each in rounds) for rows in ROWS
        },
        "step_ratio": step_ratio,
        "gain": gain,
        "ceiling": statistics.median(each.ceiling for each in rounds),
        "share_of_ceiling": share,
        "step_bar": "PASS" if worst <= STEP_BAR else "MISS",
        "batching_bar": "PASS" if share >= BATCHING_BAR else "MISS",
    }


def over_first(first: Sequence[Round], other: Sequence[Round]) -> dict[str, object]:
    """The engine in another dtype over diffusers one by one in the first, in throughput."""
    gain = statistics.median(
        one.one_by_one / two.engine for one, two in zip(first, other, strict=True)
    )
    verdict = "MISS" if gain < DTYPE_BAR else "PASS"
    return {"gain": gain, "dtype_bar": verdict, "dtype_goal_is_met": gain >= DTYPE_GOAL}


def show(result: dict[str, object]) -> None:
    unet, ratios = result["unet_ms"], result["step_ratio"]
    assert isinstance(unet, dict)
    assert isinstance(ratios, dict)
    print("milliseconds per row and evaluation (median)")
    print(f"  (a) diffusers, one by one       {result['one_by_one_ms']:8.2f}")
    print(f"  (b) diffusers, static batch     {result['static_batch_ms']:8.2f}")
    print(f"  (c) engine, {CONCURRENT} mixed in flight   {result['engine_ms']:8.2f}")
    for rows, milliseconds in unet.items():
        print(f"  (d) bare U-Net, {rows:2d} rows         {milliseconds:8.2f}")
    print(f"\nengine step over bare U-Net call (bar: at most {STEP_BAR}): {result['step_bar']}")
    for rows, ratio in ratios.items():
        print(f"  {rows:2d} rows  {ratio:.3f}")
    print(
        f"\n(c) over (a): {result['gain']:.2f}; batching can give {result['ceiling']:.2f}; share "
        f"{result['share_of_ceiling']:.2f} (bar: at least {BATCHING_BAR}): {result['batching_bar']}"
    )


def markdown(content: dict[str, Any]) -> str:
    """The README's table, of a JSON."""
    dtypes = [name for name in content if name != "machine"]
    results = [content[dtype]["result"] for dtype in dtypes]
    beside = [result.get(f"over_{dtypes[0]}_one_by_one", result) for result in results]
    rows: list[tuple[str, list[str]]] = [
        (text, [f"{result[key]:.1f}" for result in results])
        for text, key in (
            ("(a) diffusers, one request after another", "one_by_one_ms"),
            (f"(b) diffusers, one static batch of {CONCURRENT} equal requests", "static_batch_ms"),
            (f"(c) the engine, {CONCURRENT} mixed requests in flight", "engine_ms"),
        )
    ]
    for count in ("2", "16"):
        calls = [f"{result['unet_ms'][count]:.1f}" for result in results]
        rows.append((f"(d) bare U-Net calls of {count} rows", calls))
    worst = [max(result["step_ratio"].values()) for result in results]
    rows += [
        ("(c) over (a), in throughput", [f"{result['gain']:.2f}" for result in results]),
        (f"(c) over (a) in {dtypes[0]}", [f"{each['gain']:.2f}" for each in beside]),
        (
            "what batching can give: a row of 2 over a row of 16",
            [f"{result['ceiling']:.2f}" for result in results],
        ),
        (
            f"(c) over (a), of that (bar: {BATCHING_BAR})",
            [f"{result['share_of_ceiling']:.2f}" for result in results],
        ),
        (
            f"step over a bare call of the same rows, worst of 2 to 16 (bar: {STEP_BAR})",
            [f"{ratio:.3f}" for ratio in worst],
        ),
    ]
    return table(("", *dtypes), ((text, *values) for text, values in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=("float32", "float16", "bfloat16"),
        default=["float32", "bfloat16"],
        help="the first is the exact one",
    )
    parser.add_argument("--threads", type=whole)
    parser.add_argument("--rounds", type=whole, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, to see that it works")
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    parser.add_argument("--show", type=Path, help="a JSON to print as Markdown; measures nothing")
    options = parser.parse_args()
    if options.show:
        print(markdown(json.loads(options.show.read_text())))
        return
    benches = {dtype: Bench(started(options, dtype)) for dtype in options.dtypes}
    facts = machine() | {"checkpoint": next(iter(benches.values())).model.name}
    print(", ".join(f"{name}: {value}" for name, value in facts.items() if value))
    for bench in benches.values():
        for rows in (2, 2 * CONCURRENT):
            bench.step_ratio(rows)  # warms up
    rounds: dict[str, list[Round]] = {dtype: [] for dtype in benches}
    for n in range(1 if options.quick else options.rounds):
        for dtype, bench in benches.items():
            rounds[dtype].append(bench.round())
        gains = (f"{dtype} {found[-1].gain:.2f}" for dtype, found in rounds.items())
        print(f"round {n + 1}: (c) over (a): {', '.join(gains)}", flush=True)
    content = report(facts, rounds)
    if any("MISS" in str(content[dtype]["result"]) for dtype in benches):
        print("\nwhere a step's time goes:\n" + next(iter(benches.values())).profile_step())
    if options.json:
        options.json.write_text(json.dumps(content, indent=2) + "\n")


def started(options: argparse.Namespace, dtype: str) -> Engine:
    chosen = {"threads": options.threads} if options.threads else {}
    return start_engine(
        WorkerSettings(
            checkpoint=options.checkpoint, dtype=dtype, max_rows=2 * CONCURRENT, **chosen
        )
    )


def report(facts: dict[str, object], rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """What goes to the JSON; shown as well."""
    first = next(iter(rounds))
    content: dict[str, Any] = {"machine": facts}
    for dtype, found in rounds.items():
        print(f"\n{dtype}")
        result = summary(found)
        show(result)
        if dtype != first:
            result[f"over_{first}_one_by_one"] = beside = over_first(rounds[first], found)
            print(
                f"(c) over (a) in {first}: {beside['gain']:.2f} (bar: at least {DTYPE_BAR}, "
                f"goal {DTYPE_GOAL}): {beside['dtype_bar']}"
            )
        content[dtype] = {"result": result, "rounds": [asdict(each) for each in found]}
    return content


if __name__ == "__main__":
    main()
