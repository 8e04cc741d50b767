"""What there is to choose from. Of what the web UI's extensions and further models would be, there
is nothing, and the lists are empty."""

import os
from typing import Any

from fastapi import APIRouter

from app.compat.a1111.checkpoints import short_hash, title_of
from app.compat.a1111.desk import Desk
from app.compat.a1111.views import CheckpointView, MemoryView, SamplerView, SchedulerView
from app.services import Served, Services
from contract.desks import chosen_model
from contract.sampler_names import AUTOMATIC, KARRAS, UNIFORM, WEB_UI_NAMES, sampler_named
from contract.workers import ModelCard

router = APIRouter()

NOTHING: tuple[str, ...] = (
    "upscalers",
    "latent-upscale-modes",
    "sd-vae",
    "hypernetworks",
    "loras",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "script-info",
    "extensions",
)
KARRAS_RHO, NO_RHO = 7.0, -1.0
SCHEDULERS = [
    SchedulerView(name="automatic", label=AUTOMATIC, default_rho=NO_RHO),
    SchedulerView(name="uniform", label=UNIFORM, default_rho=NO_RHO),
    SchedulerView(name="karras", label=KARRAS, default_rho=KARRAS_RHO),
]


async def _nothing() -> list[Any]:
    return []


for name in NOTHING:
    router.add_api_route(f"/sdapi/v1/{name}", _nothing, methods=["GET"])


@router.get("/sdapi/v1/scripts")
async def get_scripts() -> dict[str, list[str]]:
    return {"txt2img": [], "img2img": []}


@router.get("/sdapi/v1/embeddings")
async def get_embeddings() -> dict[str, dict[str, Any]]:
    return {"loaded": {}, "skipped": {}}


@router.get("/sdapi/v1/samplers")
async def get_samplers(services: Served, desk: Desk) -> list[SamplerView]:
    """Those that the caller's model can use, each once: its schedules are chosen apart."""
    card = await _model(services, desk)
    usable = [ours for ours in WEB_UI_NAMES if _can_use(card, ours)]
    names = dict.fromkeys(WEB_UI_NAMES[ours].sampler for ours in usable)
    return [_sampler(name, usable) for name in names]


@router.get("/sdapi/v1/schedulers")
async def get_schedulers() -> list[SchedulerView]:
    return SCHEDULERS


@router.get("/sdapi/v1/sd-models")
async def get_models(services: Served) -> list[CheckpointView]:
    census = await services.census.get()
    return [
        CheckpointView(
            title=title_of(card),
            model_name=card.id,
            hash=short_hash(card),
            sha256=card.fingerprint or None,
            filename=card.id,
        )
        for card in census.models.values()
    ]


@router.post("/sdapi/v1/refresh-checkpoints")
async def refresh_checkpoints() -> None:
    """Workers announce their models by themselves."""


@router.get("/sdapi/v1/cmd-flags")
async def get_flags() -> dict[str, bool]:
    return {"api": True, "nowebui": True}


@router.get("/sdapi/v1/memory")
async def get_memory() -> MemoryView:
    """Of the machine that answers, in bytes; the devices are the workers', wherever these are."""
    return MemoryView(ram=_ram(), cuda={"error": "unavailable"})


@router.get("/internal/ping")
async def ping() -> dict[str, str]:
    return {}


async def _model(services: Services, desk: str) -> ModelCard | None:
    """None where it is not known which."""
    census = await services.census.get()
    chosen = await services.backend.call(chosen_model, desk)
    return census.default_model(chosen or services.settings.default_model)


def _can_use(card: ModelCard | None, ours: str) -> bool:
    if card is None:
        return True
    sampler = card.samplers.get(ours)
    return sampler is not None and sampler.refusal is None


def _sampler(name: str, usable: list[str]) -> SamplerView:
    theirs = [WEB_UI_NAMES[ours] for ours in usable if WEB_UI_NAMES[ours].sampler == name]
    aliases = [alias for each in theirs for alias in each.aliases]
    is_karras = sampler_named(name, KARRAS) in usable
    return SamplerView(
        name=name, aliases=aliases, options={"scheduler": "karras"} if is_karras else {}
    )


def _ram() -> dict[str, int | str]:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        free = page * os.sysconf("SC_AVPHYS_PAGES")
    except (OSError, ValueError):  # as on macOS
        return {"error": "unavailable"}
    return {"free": free, "used": page * pages - free, "total": page * pages}
