"""Percentiles, by one rule for all benchmarks."""

from collections.abc import Iterable, Sequence

PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9)


def rank(values: Sequence[float], percent: float) -> float | None:
    """The percentile, on a straight line between the two values next to it (numpy's rule, and that
    of `statistics.quantiles` with method "inclusive"); None where there is no value."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(times: Iterable[float]) -> dict[str, float | None]:
    """Count, mean, percentiles and the most."""
    values = sorted(times)
    ranks = {f"p{percent:g}": rank(values, percent) for percent in PERCENTS}
    mean = sum(values) / len(values) if values else None
    return {"count": len(values), "mean": mean, **ranks, "max": values[-1] if values else None}
