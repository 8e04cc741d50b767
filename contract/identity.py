"""Job ids: UUIDs of version 7 (RFC 9562), which carry the time of their creation."""

import secrets
import time
from uuid import UUID


def new_job_id() -> str:
    """A fresh id; ids sort by time of creation, to a quarter of a microsecond (RFC 9562, section
    6.2, method 3)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 2**12 // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64
    return str(UUID(int=value | 0b10 << 62 | secrets.randbits(62)))


def created_at(job_id: str) -> float | None:
    """Seconds since the epoch at which the id was made, in whole microseconds; None where it is no
    id of ours."""
    try:
        value = UUID(job_id)
    except ValueError:
        return None
    if value.version != 7 or str(value) != job_id:
        return None
    milliseconds, fraction = value.int >> 80, value.int >> 64 & 0xFFF
    return (1000 * milliseconds + (1000 * fraction >> 12)) / 1_000_000
