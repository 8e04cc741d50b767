"""Which jobs of its queue a worker can do, and which it leaves to others."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from contract.version import CONTRACT_VERSION, is_newer

ASK_S = 5.0
"""How often it is asked at most what others draw, once that has mattered."""


class Ability:
    """Jobs of a newer contract are for newer workers, and pictures that are too large here are for
    a worker with more memory, as long as one lives: where none does, they are taken, and fail."""

    def __init__(
        self,
        known: int = CONTRACT_VERSION,
        max_side: int | None = None,
        largest: Callable[[], int] = lambda: 0,
    ):
        """
        Args:
            known: the version of the contract.
            max_side: of the pictures that it draws, in pixels; None for any.
            largest: tells that of those workers of the model that live.
        """
        self.known = known
        self._max_side = max_side
        self._largest = largest
        self._found: int | None = None  # by `largest`; None as long as nothing was too large
        self._found_at = 0.0
        self._has_changed = False

    def leaves(self, kwargs: Any) -> bool:
        """Whether a job, by the arguments of its task, is for others."""
        return is_newer(kwargs, self.known) or self._is_for_a_larger_one(kwargs)

    def has_changed(self) -> bool:
        """Whether others draw something else than at the last call: what was left to them may be
        nobody's now."""
        if self._found is not None:
            self._largest_now()
        changed, self._has_changed = self._has_changed, False
        return changed

    def _is_for_a_larger_one(self, kwargs: Any) -> bool:
        side = longest_side(kwargs)
        return self._max_side is not None and self._max_side < side <= self._largest_now()

    def _largest_now(self) -> int:
        now = time.monotonic()
        if self._found is None or now - self._found_at >= ASK_S:
            before, self._found, self._found_at = self._found, self._largest(), now
            self._has_changed |= before not in (None, self._found)
        return self._found


def longest_side(kwargs: Any) -> int:
    """In pixels, of the pictures that are to be drawn; 0 where the arguments do not say."""
    request = kwargs.get("request") if isinstance(kwargs, Mapping) else None
    if not isinstance(request, Mapping):
        return 0
    sides = (request.get(name) for name in ("width", "height"))
    return max((side for side in sides if isinstance(side, int)), default=0)
