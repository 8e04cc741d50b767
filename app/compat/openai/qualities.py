"""Their qualities, and what they cost here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Quality = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]

STEPS: Mapping[str, int] = MappingProxyType(
    {"low": 12, "medium": 20, "high": 40, "hd": 40, "xhigh": 60, "max": 100}
)
"""What a quality costs; `auto` and `standard` leave the steps to the service."""

Level = Literal["low", "medium", "high", "xhigh", "max"]
LEVELS: Mapping[str, Level] = MappingProxyType(
    {"low": "low", "medium": "medium", "high": "high", "hd": "high", "xhigh": "xhigh", "max": "max"}
)
"""Qualities as replies name them."""
