"""What the sections of a report run on, and how they take time and memory."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from families import Family

from worker.engine.device import finish

SAMPLER, STEPS, GUIDANCE = "dpmpp_2m_karras", 30, 7.5
PROMPTS = ("red apple", "rocket", "cat face", "sunflower")
ENOUGH_S = 0.4  # of repeats of one call
BEGAN = time.perf_counter()

Tree = Mapping[str, Any]
"""A part of a report: what a section found, under the names that lead to it."""


@dataclass(frozen=True, slots=True)
class Setting:
    device: torch.device
    dtype: torch.dtype
    families: tuple[Family, ...]
    rows: tuple[int, ...]  # of the U-Net calls that are timed
    pictures: tuple[int, ...]  # of the decoder calls that are timed
    in_flight: int  # guided pictures of the engine
    static_batch: int  # pictures of a batch of diffusers
    measured_s: float  # of a rate
    counts: tuple[int, ...]  # rows of U-Net calls that are compiled one by one
    cards_gb: tuple[float, ...]  # that are played by this device

    @property
    def records(self) -> bool:
        return self.device.type == "cuda"

    @property
    def budget_rows(self) -> int:
        return 2 * self.in_flight


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


@contextmanager
def memory(device: torch.device) -> Iterator[list[int]]:
    """The most bytes allocated on the device meanwhile; 0 where nobody counts."""
    used = [0]
    if device.type == "cuda":
        tidy(device)
        torch.cuda.reset_peak_memory_stats(device)
    yield used
    if device.type == "cuda":
        used[0] = torch.cuda.max_memory_allocated(device)


def tidy(device: torch.device) -> None:
    """Gives back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def forget_compiled(device: torch.device) -> None:
    """As a new process would know nothing: torch counts how often a function was compiled, for all
    models together, and past its limit leaves it uncompiled without a word."""
    torch.compiler.reset()
    tidy(device)


def say(text: str) -> None:
    print(f"[{time.perf_counter() - BEGAN:5.0f} s] {text}", flush=True)
