"""What POST /v1/images/generations answers with. Fields of ours stand beside theirs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.compat.openai.body import ImagesBody
from app.compat.openai.qualities import Level
from contract.job import JobRecord
from contract.request import Format
from contract.sizes import Size

JOB = "01a20cbb-88bd-7a27-b2ae-4323d6ddb518"
OURS_EXAMPLE: dict[str, Any] = {
    "id": JOB,
    "model": "starter",
    "steps": 20,
    "drawn_size": "256x256",
    "cached": False,
    "warnings": ["Model starter cannot draw 512x512: the picture is drawn at 256x256 and resized."],
}
REPLY_EXAMPLE: dict[str, Any] = {
    "created": 1795509947,
    "data": [{"b64_json": "iVBORw0KGgo…", "seed": 1}],
    "background": "opaque",
    "output_format": "png",
    "quality": "medium",
    "size": "512x512",
    **OURS_EXAMPLE,
}
EVENTS_EXAMPLE = """event: image_generation.partial_image
data: {"type":"image_generation.partial_image","b64_json":"UklGRg…","partial_image_index":0,…}

: heartbeat

event: image_generation.completed
data: {"type":"image_generation.completed","b64_json":"iVBORw0KGgo…","size":"512x512",…}

"""


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True)


class ImageReply(_Reply):
    b64_json: str | None = None
    url: Annotated[
        str | None, Field(description="Opens without a key, for an hour or as long as the job.")
    ] = None
    seed: int


class _AboutJob(_Reply):
    """What is ours."""

    id: Annotated[str, Field(description="Of the job, as in GET /jobs/{id}.")]
    model: str
    steps: int
    drawn_size: Annotated[str, Field(description="As the model drew it, before any resizing.")]
    cached: Annotated[
        bool, Field(description="Whether an equal job had made the pictures already.")
    ]
    warnings: list[str]


class ImagesReply(_AboutJob):
    created: int
    data: list[ImageReply]
    background: Literal["opaque"] = "opaque"
    output_format: Format
    quality: Annotated[Level | None, Field(description="Not there where it was auto.")] = None
    size: str
    safety_identifier: str | None = None


class TokenDetails(_Reply):
    image_tokens: Literal[0] = 0
    text_tokens: Literal[0] = 0


class Usage(_Reply):
    """Clients want these in an event; nothing is counted in tokens here."""

    input_tokens: Literal[0] = 0
    output_tokens: Literal[0] = 0
    total_tokens: Literal[0] = 0
    input_tokens_details: TokenDetails = TokenDetails()


class _ImageEvent(_Reply):
    b64_json: str
    created_at: int
    background: Literal["opaque"] = "opaque"
    quality: Level | Literal["auto"]
    image: Annotated[int, Field(description="Which of the pictures, from 0.")]


class PartialImage(_ImageEvent):
    """A preview, in its own format and size."""

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"
    partial_image_index: int
    output_format: Literal["webp"] = "webp"
    size: str


class CompletedImage(_ImageEvent, _AboutJob):
    type: Literal["image_generation.completed"] = "image_generation.completed"
    output_format: Format
    size: str
    seed: int
    usage: Usage = Usage()
    safety_identifier: str | None = None


def about(record: JobRecord, body: ImagesBody) -> dict[str, Any]:
    """What a reply says of a job that has succeeded, whatever form it takes."""
    request, result = record.request, record.result
    assert result is not None
    return {
        "id": record.id,
        "model": request.model,
        "steps": request.steps,
        "drawn_size": str(Size(request.width, request.height)),
        "cached": result.cached,
        "warnings": request.warnings + result.warnings,
        "output_format": request.format,
        "size": str(request.final_size),
        "safety_identifier": body.user_id,
    }


def ended_at(record: JobRecord) -> int:
    """Seconds since the epoch."""
    return int((record.ended_at or record.created_at).timestamp())
