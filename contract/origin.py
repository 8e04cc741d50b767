"""What a job's arguments tell of the request that made it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Origin:
    received: float | None = None  # seconds since the epoch: when the API began to read it

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """What is missing, or cannot be read, is None: the job can do without."""
        received = arguments.get("received")
        is_time = isinstance(received, float) and math.isfinite(received)
        return cls(received if is_time else None)

    @property
    def arguments(self) -> dict[str, Any]:
        return {} if self.received is None else {"received": self.received}


UNKNOWN = Origin()
