"""How much a key may still ask for."""

from dataclasses import dataclass

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Quota:
    limit: int
    remaining: int
    reset_s: int | None = None  # until there is more of it; None where jobs that end bring more


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of a key, after one of its requests; None where there is no limit."""

    per_minute: Quota | None = None
    queued: Quota | None = None


NO_QUOTAS = Quotas()
