"""A file that is sent as it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import PurePath
from types import MappingProxyType
from typing import Self

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html",
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
    }
)


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    media_type: str

    @classmethod
    def read(cls, path: Traversable) -> Self:
        return cls(path.read_bytes(), MEDIA_TYPES[PurePath(path.name).suffix])

    @property
    def etag(self) -> str:
        return f'"{digest(self.content)}"'


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
