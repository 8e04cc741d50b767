"""How much memory the device has for us."""

from collections.abc import Iterator
from pathlib import Path

import torch

RESERVE = 0.08
"""Share of what is free that is left so: what lies between tensors, and libraries' own buffers."""

MEGABYTE = 1_000_000

ROOT = Path("/")
ENDLESS = 2**60
"""A bound of a container that is none; the older kind says so by a huge number."""


class DeviceMemory:
    """Of the device as it is before the model is loaded."""

    def __init__(self, device: torch.device, asked_mb: int | None = None):
        """
        Args:
            asked_mb: what we may take of it, where that is set; a GPU gives no more then.
        """
        self._device = device
        self.free = free_bytes(device)
        self.is_asked = asked_mb is not None
        self.limit = int(self.free * (1 - RESERVE)) if asked_mb is None else asked_mb * MEGABYTE
        if asked_mb is not None and device.type == "cuda":
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, self.limit / total))

    def taken(self) -> int:
        """What has gone since on a GPU: tensors, and what the libraries and the driver took beside
        torch's allocator, such as code. What the allocator holds in reserve can be had again."""
        reserved = torch.cuda.memory_reserved(self._device)
        beside = self.free - free_bytes(self._device) - reserved
        return max(0, beside) + torch.cuda.memory_allocated(self._device)


def free_bytes(device: torch.device, root: Path = ROOT) -> int:
    """What the device has free; on a CPU what the machine has, or what the container may still
    take, whichever is less."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(_available(root), *_left_in_groups(root), ENDLESS)


def _available(root: Path) -> int:
    """As Linux estimates it; elsewhere unknown, and then without a bound."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, LookupError):
        return ENDLESS


def _left_in_groups(root: Path) -> Iterator[int]:
    """Of the control groups that this process is in, which is how containers are bounded. File
    pages that nobody uses just now count as used, and can be had."""
    for folder in _groups(root):
        for most, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            try:
                bound = int((folder / most).read_text())  # "max" where there is none
                taken = int((folder / used).read_text())
                told = dict(
                    line.split() for line in (folder / "memory.stat").read_text().splitlines()
                )
                yield max(0, bound - taken + int(told.get(idle, 0)))
            except (OSError, ValueError):
                continue


def _groups(root: Path) -> Iterator[Path]:
    """Its own folder and all above it, as one may have a lower bound than another."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            folder = mounted / controllers / path.lstrip("/")
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(mounted))
