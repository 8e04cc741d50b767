"""What processes and a Redis have used, from /proc and INFO, and what workers have done."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from redis import Redis

COUNTERS = {
    "commands": "total_commands_processed",  # those inside scripts among them
    "round_trips": "total_writes_processed",  # a pipeline's answers leave at once
    "bytes_in": "total_net_input_bytes",
    "bytes_out": "total_net_output_bytes",
}
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment."""

    cpu_s: Mapping[str, float]  # by part of the service
    redis: Mapping[str, float]  # by the names of COUNTERS; `bytes_written` to its disk
    calls: Mapping[str, int]  # by command

    @classmethod
    def take(cls, parts: Mapping[str, list[int]], connection: Redis) -> Self:
        """
        Args:
            parts: process ids by part of the service.
        """
        info = connection.info("all")
        main_thread_s = info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]
        of_parts = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
        return cls(
            cpu_s=of_parts | {"redis": main_thread_s, "redis_all": cpu_s(info["process_id"])},
            redis={name: info[field] for name, field in COUNTERS.items()}
            | {"bytes_written": written_bytes(info["process_id"])},
            calls={
                name.removeprefix("cmdstat_"): figures["calls"]
                for name, figures in info.items()
                if name.startswith("cmdstat_")
            },
        )

    def since(self, earlier: "Reading") -> "Reading":
        return Reading(
            _less(self.cpu_s, earlier.cpu_s),
            _less(self.redis, earlier.redis),
            _less(self.calls, earlier.calls),
        )


def _less(late: Mapping[str, Any], early: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value - early.get(name, 0) for name, value in late.items()}


@dataclass(frozen=True, slots=True)
class Work:
    """Of one worker, when it last ended a step: so that no step is counted in part."""

    rows: float  # of all U-Net calls
    at: float  # seconds since the epoch

    @classmethod
    def of(cls, metrics_port: int) -> Self:
        connection = HTTPConnection("127.0.0.1", metrics_port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        rows, at = (
            float(re.search(rf"^{name} (.+)$", text, re.MULTILINE)[1])
            for name in ("darkroom_rows_total", "darkroom_last_step_timestamp_seconds")
        )
        return cls(rows, at)

    def rows_per_s(self, earlier: "Work") -> float:
        return (self.rows - earlier.rows) / (self.at - earlier.at)


def cpu_s(pid: int) -> float:
    """Of the process and the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks: int = os.sysconf("SC_CLK_TCK")
    return sum(map(int, fields[11:15])) / ticks


def written_bytes(pid: int) -> int:
    """To files, by the process and the children that it has waited for, which write logs anew."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"])


def resident_mb(pid: int) -> float:
    """Pages that it shares with others, its libraries among them, count in full."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def has_loaded(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()
