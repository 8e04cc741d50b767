"""How fast the U-Net could be on this CPU, and how near it is: a roofline by operation.

    python benchmarks/roofline.py [--json FILE] [--plot FILE.svg]

Measured first: matrix products (the best over several sizes), and memory by arrays that fit the
level-2 caches, the level-3 cache, or neither. Then each operation of a U-Net call is listed with
its FLOPs (as torch's FlopCounterMode counts: 2 for a multiplication and an addition) and the bytes
of all tensors that it reads and writes, weights among them. The limit of a call is the sum over its
operations of whichever takes longer: the FLOPs at the best matrix product's speed, or the bytes at
the speed of the level that they fit. Beside it stand the limit with each kind of operation
(product, convolution, attention) at the best speed that this kind reaches here, and the sum of what
the operations take when each is called by itself, over and over.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from given import STARTER, checkpoint, new_file, whole
from machine import machine as facts
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop

from worker.engine.model import Model

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.cpu_modes import Bench, Mode, inputs

ROWS = (1, 2, 4, 8, 16, 32)
ALONE = (2, 16)  # where each operation is called by itself, too
DTYPES = (torch.float32, torch.bfloat16)
CALLS = 5
SIDES = (256, 384, 512, 768, 1024, 1536)
LEVELS = {"L2": 1 << 20, "L3": 12 << 20, "RAM": 512 << 20}  # bytes that the arrays take together
FITS = {"L2": 2 << 20, "L3": 32 << 20}  # bytes up to which an operation stays at the level

KINDS = {
    "convolution": "convolution",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
}

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a call."""

    name: str
    flops: int  # of matrix products, convolutions and attention; 0 for all else
    bytes: int  # of all tensors that it reads and writes
    again: Callable[[], object] | None = field(default=None, compare=False)  # does it once more
    shapes: str = ""  # of what it reads

    @property
    def kind(self) -> str:
        return KINDS.get(self.name, "product" if self.flops else "other")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the hardware was seen to do."""

    flops_per_s: float  # of the best matrix product in the model's dtype
    bytes_per_s: dict[str, float]  # by level

    def level(self, size: int) -> str:
        return next((level for level, limit in FITS.items() if size <= limit), "RAM")

    def least_seconds(self, operation: Operation) -> float:
        return max(
            operation.flops / self.flops_per_s,
            operation.bytes / self.bytes_per_s[self.level(operation.bytes)],
        )


class Operations(TorchDispatchMode):
    """Collects what is called inside, but for views, which move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self, function: Any, types: object, arguments: Any = (), options: Any = None
    ) -> Any:
        output = function(*arguments, **(options or {}))
        read = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if not is_view(read, written):
            self.found.append(
                Operation(
                    name=function.overloadpacket.__name__,
                    flops=flops(function, arguments, options or {}, output),
                    bytes=sum(tensor.numel() * tensor.element_size() for tensor in read + written),
                    again=lambda: function(*arguments, **(options or {})),
                    shapes=str([(tuple(tensor.shape), tensor.stride()) for tensor in read]),
                )
            )
        return output


def is_view(read: Sequence[Tensor], written: Sequence[Tensor]) -> bool:
    places = {tensor.untyped_storage().data_ptr() for tensor in read}
    return all(tensor.untyped_storage().data_ptr() in places for tensor in written)


def flops(function: Any, arguments: Any, options: Any, output: Any) -> int:
    if function.overloadpacket is aten._scaled_dot_product_flash_attention_for_cpu:
        return int(sdpa_flop(*(tensor.shape for tensor in arguments[:3])))
    counted = flop_registry.get(function.overloadpacket)
    return int(counted(*arguments, **options, out_val=output)) if counted else 0


def operations(call: Callable[[], object]) -> list[Operation]:
    with torch.inference_mode(False), torch.no_grad(), Operations() as mode:
        call()
    return mode.found


def best(call: Callable[[], object], seconds: float = 0.15) -> float:
    """The fastest call's seconds, of at least CALLS."""
    call()
    fastest, until, calls = float("inf"), time.perf_counter() + seconds, 0
    while calls < CALLS or time.perf_counter() < until:
        calls += 1
        began = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def product_speeds(dtype: torch.dtype) -> dict[int, float]:
    """FLOP/s of square matrix products, by side."""
    found = {}
    for side in SIDES:
        a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
        out = torch.empty_like(a)
        found[side] = 2 * side**3 / best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))
    return found


def memory_speeds() -> dict[str, dict[str, float]]:
    """Bytes/s of reading, copying and a triad (a = b + 2c), by level; a write counts once."""
    found = {}
    for level, size in LEVELS.items():
        a, b, c = (torch.ones(size // 12) for _ in range(3))
        bytes_ = 4 * len(a)
        whole = torch.ones(size // 4)
        found[level] = {
            "read": 4 * len(whole) / best(lambda x=whole: x.sum()),
            "copy": 2 * bytes_ / best(lambda a=a, b=b: a.copy_(b)),
            "triad": 3 * bytes_ / best(lambda a=a, b=b, c=c: torch.add(b, c, alpha=2, out=a)),
        }
    return found


def machine(products: dict[int, float], memory: dict[str, dict[str, float]]) -> Machine:
    return Machine(
        max(products.values()),
        {level: max(speeds.values()) for level, speeds in memory.items()},
    )


def limit(found: Sequence[Operation], of: Machine) -> dict[str, float]:
    """Seconds that a call takes at least: its FLOPs alone, and by operation."""
    return {
        "flops": sum(operation.flops for operation in found),
        "bytes": sum(operation.bytes for operation in found),
        "compute_s": sum(operation.flops for operation in found) / of.flops_per_s,
        "limit_s": sum(of.least_seconds(operation) for operation in found),
    }


def alone(found: Sequence[Operation], of: Machine) -> dict[str, Any]:
    """What the operations take when each is called by itself, over and over; the best FLOP/s of
    each kind; and the limit of the call at these."""
    seconds: dict[Operation, float] = {}
    for each in found:
        if each not in seconds:
            assert each.again
            seconds[each] = best(each.again, 0.02)
    kinds = {
        kind: max(each.flops / seconds[each] for each in seconds if each.kind == kind)
        for kind in {each.kind for each in seconds if each.flops}
    }
    by_kind: dict[str, float] = {}
    for each in found:
        by_kind[each.kind] = by_kind.get(each.kind, 0.0) + seconds[each]
    return {
        "alone_s": sum(by_kind.values()),
        "alone_by_kind_s": by_kind,
        "best_flops_per_s": kinds,
        "limit_by_kind_s": sum(
            replace(of, flops_per_s=kinds.get(each.kind, of.flops_per_s)).least_seconds(each)
            for each in found
        ),
    }


def nearness(model: Model, of: Machine) -> dict[int, dict[str, Any]]:
    """Limits and measured calls by rows, in seconds of a call."""
    found: dict[int, dict[str, Any]] = {}
    for rows in ROWS:
        arguments = inputs(model, rows)
        listed = operations(lambda a=arguments: model.predict(*a))
        with torch.inference_mode():
            seconds = best(lambda a=arguments: model.predict(*a), 0.6)
            found[rows] = limit(listed, of) | (alone(listed, of) if rows in ALONE else {})
        found[rows] |= {
            "measured_s": seconds,
            "share_of_limit": found[rows]["limit_s"] / seconds,
            "flops_per_s": found[rows]["flops"] / seconds,
        }
    return found


def report(options: argparse.Namespace) -> dict[str, Any]:
    memory = memory_speeds()
    result: dict[str, Any] = {"machine": facts(), "memory_bytes_per_s": memory}
    for dtype in DTYPES:
        products = product_speeds(dtype)
        of = machine(products, memory)
        bench = Bench(Mode(dtype), options.checkpoint)
        calls = nearness(bench.model, of)
        step = statistics.median(bench.step() for _ in range(3))
        result[str(dtype).removeprefix("torch.")] = {
            "product_flops_per_s": products,
            "calls": calls,
            "engine_step_16_rows_s": step,
            "engine_share_of_limit": calls[16]["limit_s"] / step,
        }
    return result


def show(result: dict[str, Any]) -> None:
    print("memory, GB/s: read, copy, triad")
    for level, speeds in result["memory_bytes_per_s"].items():
        print(f"  {level:4}" + "".join(f"{value / 1e9:8.1f}" for value in speeds.values()))
    for dtype in (str(dtype).removeprefix("torch.") for dtype in DTYPES):
        found = result[dtype]
        speeds = found["product_flops_per_s"]
        print(f"\n{dtype}: matrix products, GFLOP/s by side")
        print("  " + "  ".join(f"{side}: {value / 1e9:.0f}" for side, value in speeds.items()))
        print("  rows  GFLOP/row  MB/row  ms a row: compute, limit, measured  share  GFLOP/s")
        for rows, call in found["calls"].items():
            compute, least, seconds = (
                1000 * call[name] / rows for name in ("compute_s", "limit_s", "measured_s")
            )
            print(
                f"  {rows:4} {call['flops'] / rows / 1e9:10.3f} {call['bytes'] / rows / 1e6:7.1f}"
                f" {compute:18.2f} {least:7.2f} {seconds:9.2f}"
                f" {call['share_of_limit']:10.2f} {call['flops_per_s'] / 1e9:8.0f}"
            )
        for rows in ALONE:
            call = found["calls"][rows]
            kinds = call["best_flops_per_s"].items()
            print(
                f"  {rows} rows, ms a row: limit by kinds "
                f"{1000 * call['limit_by_kind_s'] / rows:.2f}, "
                f"operations alone {1000 * call['alone_s'] / rows:.2f} ("
                + ", ".join(
                    f"{k} {1000 * s / rows:.2f}" for k, s in call["alone_by_kind_s"].items()
                )
                + "); GFLOP/s at best: "
                + ", ".join(f"{kind} {speed / 1e9:.0f}" for kind, speed in kinds)
            )
        print(
            f"  engine, 16 rows: {1000 * found['engine_step_16_rows_s'] / 16:.2f} ms a row, "
            f"{found['engine_share_of_limit']:.2f} of the limit"
        )


def plot(result: dict[str, Any], path: Path) -> None:
    """Milliseconds per row by rows: limits as lines, what was measured as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for dtype, colour in zip(DTYPES, ("#b3541e", "#1f6f8b"), strict=True):
        name = str(dtype).removeprefix("torch.")
        calls = {int(rows): call for rows, call in result[name]["calls"].items()}
        for label, key, style in (("U-Net call", "measured_s", "o-"), ("limit", "limit_s", "--")):
            values = [1000 * call[key] / rows for rows, call in calls.items()]
            axes.plot(list(calls), values, style, color=colour, label=f"{name}: {label}")
        step = 1000 * result[name]["engine_step_16_rows_s"] / 16
        axes.plot([16], [step], "x", color=colour, markersize=9, label=f"{name}: engine")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ROWS, [str(rows) for rows in ROWS])
    ticks = (1, 2, 5, 10, 20, 50)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("rows of a call")
    axes.set_ylabel("milliseconds per row")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=checkpoint, default=STARTER)
    parser.add_argument("--threads", type=whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=new_file, help="file to write the result to")
    parser.add_argument("--plot", type=new_file, help="file to draw the result to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = report(options)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.plot:
        plot(result, options.plot)


if __name__ == "__main__":
    main()
