"""The page at `/` and its files, made once: they follow from the settings and the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.page.api_page import api_page_files
from app.page.file import File, digest
from app.settings import AppSettings
from contract.request import MOST_SEED, GenerateRequest
from contract.sampler_names import KARRAS, WEB_UI_NAMES
from contract.samplers import DEFAULT_SAMPLER

FOLDER = Path(__file__).parent
CLASSIC = "theme.js"  # a script that runs before the page is drawn; all others are modules
PREVIEWS = 8
"""How many times the page asks to see each picture while it develops."""

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "starter": (
            "camera",
            "red apple",
            "sailboat",
            "penguin",
            "sunflower",
            "red paper lantern",
            "octopus",
            "hot beverage",
        ),
        "": (
            "a lighthouse in the fog, black and white photograph",
            "a fox in fresh snow, morning light",
            "still life with pears, oil on canvas",
            "a small harbour at night, watercolour",
        ),
    }
)
"""What to try first, by model; the empty name stands for every other one."""


@dataclass(frozen=True, slots=True)
class Site:
    page: File
    files: Mapping[str, File]  # by name
    version: str
    """Changes with every file, and stands in their paths: so they may be kept for good."""

    api_page: Mapping[str, File]  # by name

    @classmethod
    def of(cls, settings: AppSettings) -> Self:
        files = {path.name: File.read(path) for path in sorted((FOLDER / "static").iterdir())}
        version = digest(b"".join(file.content for file in files.values()))
        modules = [name for name in files if name.endswith(".js") and name != CLASSIC]
        page = File(_render(settings, version, modules).encode(), "text/html")
        return cls(page, MappingProxyType(files), version, api_page_files())


def _render(settings: AppSettings, version: str, modules: Sequence[str]) -> str:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        version=version,
        modules=modules,
        fields=GenerateRequest.model_json_schema()["properties"],
        most_seed=MOST_SEED,
        samplers={name: _label(name) for name in WEB_UI_NAMES},
        default_sampler=DEFAULT_SAMPLER,
        kept=_duration(settings.result_ttl_s),
        facts={
            "examples": {model: list(prompts) for model, prompts in EXAMPLES.items()},
            "needs_keys": settings.needs_keys,
            "previews": PREVIEWS,
        },
    )


def _label(sampler: str) -> str:
    name = WEB_UI_NAMES[sampler]
    return f"{name.sampler} {KARRAS}" if name.schedule == KARRAS else name.sampler


def _duration(seconds: int) -> str:
    """In the largest unit that says it in whole numbers."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, length)
        if count and not rest:
            return f"one {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
