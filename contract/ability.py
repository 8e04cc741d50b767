"""Which jobs of its queue a worker can do, and which it leaves to others."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.version import CONTRACT_VERSION, is_newer


@dataclass(frozen=True, slots=True)
class Ability:
    """Jobs of a newer contract are for newer workers, and pictures that are too large here for
    those with more memory. What none of these has begun by its deadline is taken, and fails."""

    known: int = CONTRACT_VERSION  # of the contract
    max_side: int | None = None  # of the pictures that it draws, in pixels; None for any

    def leaves(self, kwargs: Any) -> bool:
        """Whether a job, by the arguments of its task, is for others."""
        return self.leaves_until(kwargs) > time.time()

    def leaves_until(self, kwargs: Any) -> float:
        """Until when it is, in seconds since the epoch; 0 where it never was."""
        if is_newer(kwargs, self.known):
            return math.inf
        if self.max_side is None or _longest_side(kwargs) <= self.max_side:
            return 0.0
        deadline = kwargs.get("deadline")
        return deadline if isinstance(deadline, int | float) else 0.0


def _longest_side(kwargs: Any) -> int:
    """In pixels, of the pictures that are to be drawn; 0 where the arguments do not say."""
    request = kwargs.get("request") if isinstance(kwargs, Mapping) else None
    if not isinstance(request, Mapping):
        return 0
    sides = (request.get(name) for name in ("width", "height"))
    return max((side for side in sides if isinstance(side, int)), default=0)
