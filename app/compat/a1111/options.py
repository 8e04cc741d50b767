"""The options of the web UI that we know: /sdapi/v1/options, and `override_settings` of a request.

One can be chosen, the model. The others say what is always done here.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body

from app.census import Census
from app.compat.a1111.checkpoints import FIELD, model_titled, title_of
from app.compat.a1111.desk import Desk
from app.problems import printable
from app.services import Served, Services
from app.settings import AppSettings
from contract.desks import choose_model, chosen_model
from contract.errors import InvalidRequest

router = APIRouter()

NO_VAE = ("Automatic", "None", "")
FIXED: Mapping[str, object] = {
    "samples_format": "png",
    "sd_vae": NO_VAE[0],
    "CLIP_stop_at_last_layers": 1,
    "eta_noise_seed_delta": 0,
    "randn_source": "CPU",
    "live_previews_enable": True,
}


@router.get("/sdapi/v1/options")
async def get_options(services: Served, desk: Desk) -> dict[str, Any]:
    census = await services.census.get()
    model = await services.backend.call(chosen_model, desk)
    return {FIELD: _title(model, census, services), **_fixed(services.settings)}


@router.post("/sdapi/v1/options")
async def set_options(
    given: Annotated[dict[str, Any], Body()], services: Served, desk: Desk
) -> None:
    """A model that is null or empty is the service's own choice."""
    model = read_options(given, await services.census.get(), services.settings)
    if FIELD in given:
        await services.backend.call(choose_model, desk, model)


def read_options(given: Mapping[str, Any], census: Census, settings: AppSettings) -> str | None:
    """The id of the model in these options; None where there is none in them.

    Raises:
        InvalidRequest: names the option that we do not have, or not with this value.
        UnknownModel: there is no such model.
    """
    fixed = _fixed(settings)
    for name, value in given.items():
        if name != FIELD:
            _require_fixed(name, value, fixed)
    title = given.get(FIELD)
    if title is None or title == "":  # as Open WebUI writes a model that nobody chose
        return None
    if not isinstance(title, str):
        raise InvalidRequest(f"{FIELD} must be the title of a model.", field=FIELD)
    return model_titled(title, census).id


def _require_fixed(name: str, value: object, fixed: Mapping[str, object]) -> None:
    if name not in fixed:
        raise InvalidRequest(
            f"There is no option {printable(name)} here; options are {FIELD}, {', '.join(fixed)}.",
            field=printable(name),
        )
    is_no_vae = name == "sd_vae" and value in NO_VAE
    if value is not None and value != fixed[name] and not is_no_vae:
        raise InvalidRequest(f"{name} is always {fixed[name]} here.", field=name)


def _fixed(settings: AppSettings) -> dict[str, object]:
    return {**FIXED, "enable_pnginfo": settings.metadata}


def _title(model: str | None, census: Census, services: Services) -> str | None:
    """Null where nobody chose, and the service leaves a choice."""
    if model is not None:
        return title_of(census.models[model]) if model in census.models else model
    card = census.default_model(services.settings.default_model)
    return title_of(card) if card is not None else None
