"""Sampler tables, remembered: reading one off diffusers takes 3 ms to a second."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from worker.engine.sampler import SamplerTable, build_table


class TableCache:
    """Safe for several threads. `hits` and `misses` count since the start."""

    def __init__(self, scheduler_config: Mapping[str, Any], capacity: int = 256):
        self._config = scheduler_config
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, int], SamplerTable] = OrderedDict()
        self._lock = Lock()
        self.hits = 0
        self.misses = 0

    def known(self, sampler: str, steps: int) -> SamplerTable | None:
        """The table if it is remembered; never takes time."""
        with self._lock:
            table = self._known.get((sampler, steps))
            if table is not None:
                self._known.move_to_end((sampler, steps))
                self.hits += 1
            return table

    def build(self, sampler: str, steps: int) -> SamplerTable:
        """The table, read off diffusers unless it is remembered.

        Raises:
            SamplerRefused: the checkpoint cannot do this.
        """
        known = self.known(sampler, steps)  # an equal job may have been quicker
        if known is not None:
            return known
        table = build_table(sampler, steps, self._config)
        with self._lock:
            self.misses += 1
            self._known[sampler, steps] = table
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return table
