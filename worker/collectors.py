"""Figures that are looked up when Prometheus asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    import torch

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
