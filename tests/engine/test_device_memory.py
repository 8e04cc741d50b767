from pathlib import Path

import pytest
import torch

from worker.engine.device_memory import MEGABYTE, RESERVE, DeviceMemory, free_bytes

CPU = torch.device("cpu")
MEMINFO = "MemTotal:       16000000 kB\nMemAvailable:   10000000 kB\n"


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    write(tmp_path, "proc/meminfo", MEMINFO)
    return tmp_path


def group(root: Path, folder: str, most: str, used: int, idle: int) -> None:
    write(root, f"sys/fs/cgroup/{folder}/memory.max", f"{most}\n")
    write(root, f"sys/fs/cgroup/{folder}/memory.current", f"{used}\n")
    write(root, f"sys/fs/cgroup/{folder}/memory.stat", f"anon 5\ninactive_file {idle}\n")


def test_a_machine_has_what_linux_says_is_available(machine: Path) -> None:
    assert free_bytes(CPU, machine) == 10_000_000 * 1024


def test_a_container_has_what_it_may_still_take(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "0::/pod/worker\n")
    group(machine, "pod/worker", "max", 500, 0)
    group(machine, "pod", "8000000000", 3_000_000_000, 1_000_000_000)
    assert free_bytes(CPU, machine) == 6_000_000_000


def test_the_older_kind_of_container_is_heard_as_well(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "9:cpu:/pod\n4:memory:/pod\n")
    folder = "sys/fs/cgroup/memory/pod"
    write(machine, f"{folder}/memory.limit_in_bytes", "4000000000\n")
    write(machine, f"{folder}/memory.usage_in_bytes", "1000000000\n")
    write(machine, f"{folder}/memory.stat", "total_inactive_file 0\n")
    assert free_bytes(CPU, machine) == 3_000_000_000


def test_a_system_that_does_not_tell_has_no_bound(tmp_path: Path) -> None:
    assert free_bytes(CPU, tmp_path) > 10**15


def test_a_share_of_what_is_free_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.device_memory.free_bytes", lambda device: 1_000_000)
    assert DeviceMemory(CPU).limit == int(1_000_000 * (1 - RESERVE))
    assert DeviceMemory(CPU, 3).limit == 3 * MEGABYTE
