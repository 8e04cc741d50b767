"""How often a key may ask, and how many of its jobs may wait.

The sliding window is that of `limits`: its scripts run as functions of ours, so that to count a job
and to accept it are one transaction and one round trip.
"""

import math
from typing import Any, NamedTuple

from limits.storage import RedisStorage

from contract.quotas import WINDOW_S, Quota


def _function(name: str, script: bytes | str) -> str:
    text = script.decode() if isinstance(script, bytes) else script
    return f"local function {name}(KEYS, ARGV)\n{text}\nend\n"


FUNCTIONS = (
    _function("acquire", RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW)
    + _function("window", RedisStorage.SCRIPT_SLIDING_WINDOW)
    + f"""
local function counted(before, now)
    local numbers = window({{before, now}}, {{{WINDOW_S}}})
    for i, number in ipairs(numbers) do numbers[i] = math.max(0, tonumber(number) or 0) end
    return numbers
end
"""
)


class Window(NamedTuple):
    """What stands in Redis: jobs counted, and how long the counts hold in milliseconds."""

    before: int
    before_ttl_ms: int
    now: int
    now_ttl_ms: int


def window_keys(owner: str) -> tuple[str, str]:
    """Of the window before this one, and of this one."""
    return f"darkroom:rate:{owner}/-1", f"darkroom:rate:{owner}"


def queued_key(owner: str) -> str:
    """The jobs of a key that no worker has taken yet."""
    return f"darkroom:queued:{owner}"


def per_minute_quota(limit: int, counted: Any) -> Quota:
    """As `SlidingWindowCounterRateLimiter.get_window_stats` of `limits` reckons it."""
    window = Window(*counted)
    weighted = window.before * window.before_ttl_ms / (1000 * WINDOW_S) + window.now
    waits = [math.inf]
    if window.before:
        waits.append(window.before_ttl_ms / 1000 % (WINDOW_S / window.before))
    if window.now:
        waits.append(window.now_ttl_ms / 1000 % WINDOW_S)
    reset_s = math.ceil(min(waits)) if min(waits) < math.inf else 0
    return Quota(limit, max(0, limit - math.floor(weighted)), reset_s)
