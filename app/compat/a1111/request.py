"""The body of POST /sdapi/v1/txt2img, and the request that it is in our words.

Clients send fields of which the web UI's extensions know more than we do, so that what is not named
here is ignored, and null is as good as left out. What is named and would change the picture in a
way that we cannot do is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.compat.a1111.envelope import THEIR_FIELDS
from app.problems import printable
from contract.errors import InvalidRequest, UnsupportedSampler
from contract.request import MOST_IMAGES, GenerateRequest
from contract.sampler_names import SCHEDULES, WEB_UI_NAMES, sampler_named
from contract.samplers import DEFAULT_SAMPLER

SIDE_MULTIPLE = 8  # the web UI, too, makes a picture of 500 pixels one of 496
PREVIEWS = 5
"""Of each picture, for whoever asks how far it is; the picture is the same without."""

NEUTRAL_ETA = (0.0, 1.0)  # what clients send without meaning anything by it
WHY_OFF = "cannot be done here; leave it out"


class Script(BaseModel):
    """An entry of `alwayson_scripts`."""

    args: list[Any] | dict[str, Any] = []

    @property
    def is_on(self) -> bool:
        """Clients switch one off by no arguments, a first one of false, or in each of its units."""
        if not self.args:
            return False
        if isinstance(self.args, dict):
            return not _is_off(self.args)
        return self.args[0] is not False and not all(_is_off(each) for each in self.args)


def _is_off(unit: object) -> bool:
    return isinstance(unit, dict) and (unit.get("enabled") is False or unit.get("enable") is False)


class Txt2Img(BaseModel):
    """Bounds are those of POST /generate, except where it has no such field."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    batch_size: Annotated[int, Field(ge=1)] = 1
    n_iter: Annotated[int, Field(ge=1)] = 1
    sampler_name: str = ""
    sampler_index: str = ""
    scheduler: str = ""
    send_images: bool = True
    force_task_id: Annotated[str | None, Field(min_length=1, max_length=255)] = None
    override_settings: dict[str, Any] = {}
    alwayson_scripts: dict[str, Script] = {}

    # Nothing but off can be done:
    enable_hr: bool = False
    restore_faces: bool = False
    tiling: bool = False
    script_name: str = ""
    styles: list[str] = []
    infotext: str = ""
    refiner_checkpoint: str = ""
    subseed_strength: float = 0.0
    seed_resize_from_w: int = 0
    seed_resize_from_h: int = 0
    s_churn: float = 0.0
    s_min_uncond: float = 0.0
    s_noise: float = 1.0
    eta: float = 1.0

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}

    @property
    def images(self) -> int:
        return self.batch_size * self.n_iter

    @property
    def echo(self) -> dict[str, Any]:
        """What was understood of it. Scripts, which are off, may hold what no JSON can carry."""
        return self.model_dump(mode="json", exclude={"alwayson_scripts"})


def wanted(asked: Txt2Img, model: str | None) -> GenerateRequest:
    """The request in our words. A size that the model cannot draw is drawn at the nearest that it
    can, and resized.

    Args:
        model: its id; None where nobody chose one.

    Raises:
        InvalidRequest: it asks for what is not done here, or for too many pictures.
        UnsupportedSampler: there is no such sampler, or not with that schedule.
        RequestValidationError: a value is beyond its bounds.
    """
    _require_off(asked)
    if asked.images > MOST_IMAGES:
        raise InvalidRequest(
            f"batch_size times n_iter must be at most {MOST_IMAGES}.", field="batch_size"
        )
    said = {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "images": asked.images,
        "seed": asked.seed if asked.seed != -1 else None,
        "steps": asked.steps,
        "guidance": asked.cfg_scale,
        "sampler": _sampler(asked),
        "width": _side(asked.width),
        "height": _side(asked.height),
        "size_policy": "fit",
        "model": model,
        "previews": PREVIEWS,
    }
    return _valid({name: value for name, value in said.items() if value is not None})


def _valid(fields: Mapping[str, Any]) -> GenerateRequest:
    """Its errors name the fields as the caller does."""
    try:
        return GenerateRequest.model_validate(fields)
    except ValidationError as error:
        faults: list[Any] = [dict(fault) for fault in error.errors()]
        for fault in faults:
            ours = str(next(iter(fault["loc"]), ""))
            fault["loc"] = ("body", THEIR_FIELDS.get(ours, ours)) if ours else ("body",)
        raise RequestValidationError(faults) from error


def _side(side: int | None) -> int | None:
    return side // SIDE_MULTIPLE * SIDE_MULTIPLE if side is not None else None


def _sampler(asked: Txt2Img) -> str | None:
    """None where ours is the default."""
    name = asked.sampler_name or asked.sampler_index
    if not name and not asked.scheduler:
        return None
    name = name or WEB_UI_NAMES[DEFAULT_SAMPLER].sampler
    ours = sampler_named(name, asked.scheduler)
    if ours is not None:
        return ours
    if sampler_named(name) is not None:
        raise UnsupportedSampler(
            f"{printable(name)} cannot be had with the schedule {printable(asked.scheduler)}; "
            "`automatic` always can.",
            field="scheduler",
            allowed=[each for each in SCHEDULES if sampler_named(name, each) is not None],
        )
    names = list(dict.fromkeys(each.sampler for each in WEB_UI_NAMES.values()))
    raise UnsupportedSampler(
        f"Sampler not found; valid samplers are {', '.join(names)}.",
        field="sampler_name" if asked.sampler_name else "sampler_index",
        allowed=names,
    )


def _require_off(asked: Txt2Img) -> None:
    on: Mapping[str, bool] = {
        "enable_hr": asked.enable_hr,
        "restore_faces": asked.restore_faces,
        "tiling": asked.tiling,
        "script_name": asked.script_name != "",
        "styles": asked.styles != [],
        "infotext": asked.infotext != "",
        "refiner_checkpoint": asked.refiner_checkpoint != "",
        "subseed_strength": asked.subseed_strength != 0,
        "seed_resize_from_w": asked.seed_resize_from_w > 0,
        "seed_resize_from_h": asked.seed_resize_from_h > 0,
        "s_churn": asked.s_churn != 0,
        "s_min_uncond": asked.s_min_uncond != 0,
        "s_noise": asked.s_noise != 1,
        "eta": asked.eta not in NEUTRAL_ETA,
    }
    for field, is_on in on.items():
        if is_on:
            raise InvalidRequest(f"{field}: {WHY_OFF}.", field=field)
    for name, script in asked.alwayson_scripts.items():
        if script.is_on:
            raise InvalidRequest(
                f"alwayson_scripts: {printable(name)} {WHY_OFF}, or switch it off.",
                field="alwayson_scripts",
            )
