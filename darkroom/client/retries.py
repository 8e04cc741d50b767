"""How often a request is sent again, and after which pause."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """Pauses double from `first_s` to `most_s`, each shortened by up to half at random, so that the
    clients of a service that comes back do not all come at once. What the service asks for by
    `Retry-After` comes on top; where that is more than `longest_s` nobody waits for it."""

    attempts: int = 6
    first_s: float = 0.5
    most_s: float = 8.0
    longest_s: float = 60.0

    def pause_s(
        self,
        failures: int,
        asked_s: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """The pause after so many failures in a row; None where it is time to give up.

        Args:
            asked_s: what the service asked for.
            chance: gives numbers from 0 to 1.
        """
        asked_s = asked_s or 0.0
        if failures >= self.attempts or asked_s > self.longest_s:
            return None
        backoff_s = min(self.most_s, self.first_s * 2.0 ** (failures - 1))
        return asked_s + backoff_s * (1 - chance() / 2)
