"""How much memory a stage takes at most."""

import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

RESET = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): the peak begins anew at what is resident now
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # getrusage(2) counts in these


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that was held at any time."""

    memory_bytes: int = 0  # resident, of the whole process
    vram_bytes: int = 0  # of tensors on the GPU; 0 without one

    def or_more(self, other: "Peak") -> "Peak":
        return Peak(
            max(self.memory_bytes, other.memory_bytes), max(self.vram_bytes, other.vram_bytes)
        )


def begin_peak() -> None:
    """Forgets earlier peaks, where the system can: elsewhere a later stage shows those as well."""
    with suppress(OSError):
        RESET.write_text(RESET_PEAK, encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak() -> Peak:
    """Since `begin_peak`."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES
    return Peak(resident, torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)
