"""How far seconds that were promised are off, as shares of those that it took."""

from collections.abc import Iterable

from percentiles import rank

LEAST_S = 0.001  # that a job is taken to need


def errors(promises: Iterable[tuple[float, float]]) -> dict[str, float | None]:
    """
    Args:
        promises: the seconds that were promised, and those that it took.
    """
    off = [(told - took) / took for told, took in ((a, max(LEAST_S, b)) for a, b in promises)]
    sizes = [abs(each) for each in off]
    return {
        "count": len(off),
        "median_error": rank(sizes, 50),
        "p90_error": rank(sizes, 90),
        "median_bias": rank(off, 50),
    }
