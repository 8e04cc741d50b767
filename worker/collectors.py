"""Figures that are looked up when Prometheus asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    import torch

    from worker.engine.budget import RowBudget
    from worker.engine.conditioning import PromptEncoder
    from worker.tables import TableCache


class Caches(Collector):
    """Counters that the caches keep themselves."""

    def __init__(self, caches: Mapping[str, PromptEncoder | TableCache]):
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        hits = CounterMetricFamily("darkroom_cache_hits", "Found in the cache.", labels=["cache"])
        misses = CounterMetricFamily("darkroom_cache_misses", "Made anew.", labels=["cache"])
        for name, cache in self._caches.items():
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
        yield hits
        yield misses


class DeviceMemory(Collector):
    """Of a GPU; what a CPU uses is the process'."""

    def __init__(self, device: torch.device):
        self._device = device

    def collect(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "darkroom_device_memory_bytes",
            "Memory of the GPU: in tensors, held by torch, and what there is.",
            labels=["kind"],
        )
        if self._device.type == "cuda":
            import torch  # as the engine has long done: what counts loads no torch by itself

            memory.add_metric(["allocated"], torch.cuda.memory_allocated(self._device))
            memory.add_metric(["reserved"], torch.cuda.memory_reserved(self._device))
            memory.add_metric(["limit"], torch.cuda.mem_get_info(self._device)[1])
        yield memory


class PlannedMemory(Collector):
    """What the worker found at its start, from which follows how many rows there is room for."""

    def __init__(self, budget: RowBudget):
        self._budget = budget

    def collect(self) -> Iterator[Metric]:
        plan, (height, width) = self._budget.memory, self._budget.native_shape
        if plan is None:
            return
        needs, cells = plan.needs, height * width
        for name, text, value in (
            ("limit", "Memory of the device that the worker may take.", plan.limit),
            ("model", "What the model takes of it in any case.", needs.fixed),
            (
                "row",
                "What a row of the native size takes in a U-Net call.",
                needs.unet.bytes(cells),
            ),
            (
                "picture",
                "What a picture of the native size takes while it is decoded.",
                needs.decoder.bytes(cells),
            ),
        ):
            yield GaugeMetricFamily(f"darkroom_memory_{name}_bytes", text, value)
