"""The body of POST /v1/images/generations, and what it asks for in our words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.compat.openai.qualities import LEVELS, STEPS, Level, Quality
from app.problems import printable
from contract.errors import RequestError
from contract.request import GenerateRequest
from contract.subscription import TagText

OURS = (
    "negative_prompt",
    "guidance",
    "guidance_start",
    "guidance_stop",
    "steps",
    "sampler",
    "seed",
    "priority",
    "metadata",
    "webhook",
    "webhook_events",
    "tags",
)
"""Fields of POST /generate that are taken as they are: the SDK's `extra_body` sends them."""

PARAMS: Mapping[str, str] = MappingProxyType(
    {
        "images": "n",
        "width": "size",
        "height": "size",
        "format": "output_format",
        "quality": "output_compression",
        "previews": "partial_images",
    }
)
"""Their names for fields of ours."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "frame_count": "It belongs to a gif, and this service makes none",
        "frame_duration_ms": "It belongs to a gif, and this service makes none",
        "svg": "It belongs to an svg, and this service makes none",
    }
)
USER_TAG = "safety_identifier"
SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
BEST = 100  # of their output_compression, and its default


def _show_ours(schema: dict[str, Any]) -> None:
    """Fields of ours stand in the API's page as they do with POST /generate."""
    ours = GenerateRequest.model_json_schema()["properties"]
    schema["properties"] |= {name: ours[name] for name in OURS}
    schema["additionalProperties"] = False


class ImagesBody(BaseModel):
    """Whatever is null has its default; bounds of what we know under another name stand there."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, json_schema_extra=_show_ours)

    prompt: str
    model: Annotated[
        str | None, Field(description="Of GET /v1/models, or a name that stands for one.")
    ] = None
    n: Annotated[int | None, Field(description="1 to 10 pictures; default 1.")] = None
    size: Annotated[
        str | None,
        Field(
            description="`auto`, or WIDTHxHEIGHT in multiples of 8. What the model cannot draw is "
            "drawn at the nearest size that it can, and resized."
        ),
    ] = None
    quality: Annotated[
        Quality | None,
        Field(description=f"Denoising steps, where `steps` names none: {dict(STEPS)}."),
    ] = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: Annotated[
        int | None, Field(ge=0, le=BEST, description="Quality of webp and jpeg; default 100.")
    ] = None
    background: Literal["opaque", "auto"] | None = None
    stream: bool | None = None
    partial_images: Annotated[
        int | None, Field(ge=0, le=3, description="Previews of each picture, with `stream`.")
    ] = None
    safety_identifier: Annotated[
        TagText | None, Field(description="Kept with the job as a tag, and returned.")
    ] = None
    user: Annotated[TagText | None, Field(description="The older name for the same.")] = None
    moderation: Annotated[Literal["low", "auto"] | None, Field(description="Ignored.")] = None
    style: Annotated[Literal["vivid", "natural"] | None, Field(description="Ignored.")] = None
    complexity: Annotated[
        Literal["low", "medium", "high"] | None, Field(description="Ignored.")
    ] = None

    @model_validator(mode="after")
    def _only_what_is_known(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in REFUSED and value is not None:
                raise _fault(name, REFUSED[name])
            if name not in (*OURS, *REFUSED):
                raise _fault(name, f"Unknown; of our own, these are taken: {', '.join(OURS)}")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.partial_images and not self.stream:
            raise _fault("partial_images", "They come with `stream` only")
        if self.stream and self.response_format == "url":
            raise _fault("response_format", "A stream carries its pictures as b64_json")
        if self.size not in (None, "auto") and SIZE.fullmatch(self.size or "") is None:
            raise _fault("size", "Must be auto or WIDTHxHEIGHT, such as 512x512")
        return self

    @property
    def user_id(self) -> str | None:
        return self.safety_identifier or self.user or None

    @property
    def level(self) -> Level | None:
        """None where the service chose."""
        return LEVELS.get(self.quality or "auto")

    @property
    def params(self) -> Mapping[str, str]:
        """What the caller named that a field of ours follows from."""
        is_by_quality = self.quality in STEPS and "steps" not in self._ours
        return {**PARAMS, "steps": "quality"} if is_by_quality else PARAMS

    @property
    def _ours(self) -> dict[str, Any]:
        extra = self.model_extra or {}
        return {name: extra[name] for name in OURS if extra.get(name) is not None}

    def asked(self, model: str | None) -> GenerateRequest:
        """
        Args:
            model: the one that the body's name stands for.

        Raises:
            ValidationError: in our words.
        """
        fields = {
            "prompt": self.prompt,
            "model": model,
            "images": self.n,
            "format": self.output_format,
            "quality": self._encoder_quality,
            "previews": self.partial_images,
            "steps": STEPS.get(self.quality or "auto"),
            **self._sides,
            **self._ours,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        asked = GenerateRequest.model_validate(given | {"size_policy": "fit"})
        if self.user_id is None:
            return asked
        return asked.model_copy(update={"tags": {**asked.tags, USER_TAG: self.user_id}})

    @property
    def _sides(self) -> dict[str, int]:
        found = SIZE.fullmatch(self.size or "")
        return {"width": int(found[1]), "height": int(found[2])} if found is not None else {}

    @property
    def _encoder_quality(self) -> int | None:
        """Ours begins at 1. Any but the best of a png is refused where all fields are judged."""
        if self.output_format in ("webp", "jpeg"):
            return max(1, BEST if self.output_compression is None else self.output_compression)
        return self.output_compression if self.output_compression != BEST else None


@contextmanager
def in_their_words(params: Mapping[str, str]) -> Iterator[None]:
    """Errors that name fields of ours name those of the caller instead.

    Raises:
        RequestValidationError: in place of a ValidationError.
    """
    try:
        yield
    except ValidationError as error:
        faults = [
            {**fault, "loc": ("body", *_renamed(fault["loc"], params))} for fault in error.errors()
        ]
        raise RequestValidationError(faults) from error
    except RequestError as error:
        error.field = params.get(error.field or "", error.field)
        raise


def _renamed(place: tuple[int | str, ...], params: Mapping[str, str]) -> tuple[int | str, ...]:
    if not place:
        return place
    return (params.get(str(place[0]), place[0]), *place[1:])


def _fault(param: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("unsupported", message, {"field": printable(param)})
