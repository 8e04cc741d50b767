"""What may be asked for. Every bound of a request stands here, once."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from contract.rows import guided_steps, rows_of
from contract.samplers import DEFAULT_SAMPLER, SAMPLERS
from contract.sizes import Size
from contract.subscription import ENDS, Subscription, Tags, WebhookEvents, WebhookUrl
from contract.version import SINCE

MOST_STEPS = 150
MOST_IMAGES = 10
MOST_SEED = 2**32 - 1  # torch's CPU generator uses no more
MOST_RESIZED = 2048  # pixels a side; to write one costs no step of the model, but time and memory
DEFAULT_QUALITY = 90

PICTURE_FIELDS = frozenset(
    {
        "prompt",
        "negative_prompt",
        "guidance",
        "guidance_start",
        "guidance_stop",
        "steps",
        "sampler",
        "images",
        "model",
        "seed",
        "width",
        "height",
        "resized_width",
        "resized_height",
        "format",
        "quality",
        "metadata",
    }
)
"""The fields of a `JobRequest` that its pictures follow from, bytes and all."""

ASIDES = ("webhook", "webhook_events", "tags")
"""Fields that no picture follows from: a job holds them beside its request."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul_byte", "Text must not hold NUL bytes")
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise PydanticCustomError("empty", "Must say what to draw; there is no default")
    return text


def _known_sampler(name: str) -> str:
    if name not in SAMPLERS:
        raise PydanticCustomError(
            "unknown_sampler",
            "Unknown sampler; valid samplers are {allowed}",
            {"allowed": ", ".join(SAMPLERS)},
        )
    return name


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=4000), AfterValidator(_without_nul)
]
Side = Annotated[int, Field(ge=8, le=8192, multiple_of=8)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # highest first
Fitted = Literal["steps", "size", "drawn", "priority"]
Approximation = Literal["guidance_interval"]
ModelId = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_without_nul)
]
_RESIZED = ("resized_width", "resized_height")
Format = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: Mapping[Format, str] = MappingProxyType(
    {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
)


class _Asked(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # a log has no prompts in it unless it is told to
    )

    prompt: Annotated[
        Text,
        AfterValidator(_not_empty),
        Field(
            json_schema_extra={"minLength": 1},
            description="What to draw. CLIP reads its first tokens only.",
        ),
    ]
    negative_prompt: Annotated[Text, Field(description="What to steer away from.")] = ""
    guidance: Annotated[
        float,
        Field(ge=0, le=30, description="At most 1 turns guidance off and halves the work."),
    ] = 7.5
    guidance_start: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the steps that comes before guidance begins. A step without it "
            "is half the work, and the picture is another one.",
        ),
    ] = 0.0
    guidance_stop: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the steps after which guidance ends, more than "
            "`guidance_start`. 0.6 saves a fifth of the work.",
        ),
    ] = 1.0
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS, description="Denoising steps.")] = 30
    sampler: Annotated[
        str,
        AfterValidator(_known_sampler),
        Field(json_schema_extra={"enum": list(SAMPLERS)}, description="See GET /models."),
    ] = DEFAULT_SAMPLER
    images: Annotated[
        int, Field(ge=1, le=MOST_IMAGES, description="Picture n has the seed `seed + n`.")
    ] = 1
    format: Format = "png"
    quality: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description=f"Of jpeg and webp; default {DEFAULT_QUALITY}. png loses nothing, and "
            "takes none.",
        ),
    ] = None
    priority: Annotated[
        Priority,
        Field(description="`high` joins at the next step; `low` waits until nobody else does."),
    ] = "normal"
    previews: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="How many times each picture is shown while it develops, as events of the "
            "job. The picture itself is the same with any number.",
        ),
    ] = 0

    @model_validator(mode="after")
    def _guidance_has_steps(self) -> Self:
        if self.guidance_start >= self.guidance_stop:
            is_stop_said = "guidance_stop" in self.model_fields_set
            raise PydanticCustomError(
                "empty_interval",
                "guidance_start must be less than guidance_stop",
                {"field": "guidance_stop" if is_stop_said else "guidance_start"},
            )
        return self


class GenerateRequest(_Asked):
    """The body of POST /generate. Whatever is left out gets a default; nothing is corrected."""

    model: Annotated[ModelId | None, Field(description="Default: the server's only model.")] = None
    seed: Annotated[
        Seed | None, Field(description="Default: drawn at random, and returned with the job.")
    ] = None
    width: Annotated[
        Side | None, Field(description="Pixels. Default: the model's native width.")
    ] = None
    height: Annotated[
        Side | None, Field(description="Pixels. Default: the model's native height.")
    ] = None
    size_policy: Annotated[
        Literal["refuse", "fit"],
        Field(
            description="Of a size that the model cannot draw: `fit` draws the nearest that it can "
            f"and resizes the picture, to at most {MOST_RESIZED} pixels a side; and so of one that "
            "the key may not have."
        ),
    ] = "refuse"
    metadata: Annotated[
        bool | None,
        Field(
            description="Whether the pictures carry their parameters: as a text chunk `parameters` "
            "in the web UI's form and one `darkroom` in ours, or in EXIF. Default: a setting."
        ),
    ] = None
    webhook: Annotated[
        WebhookUrl | None,
        Field(description="http(s) URL that is told by a signed POST how the job ended."),
    ] = None
    webhook_events: Annotated[
        WebhookEvents | None,
        Field(description="What the webhook is told. Default: the end, whichever it is."),
    ] = None
    tags: Annotated[
        Tags, Field(description="The caller's own notes, returned with the job and its webhooks.")
    ] = {}

    @property
    def subscription(self) -> Subscription | None:
        if self.webhook is None:
            return None
        events = self.webhook_events if self.webhook_events is not None else list(ENDS)
        return Subscription(url=self.webhook, events=events)

    @model_validator(mode="after")
    def _events_go_somewhere(self) -> Self:
        if self.webhook_events is not None and self.webhook is None:
            raise PydanticCustomError(
                "no_webhook", "Needs a webhook to send them to", {"field": "webhook_events"}
            )
        return self

    @model_validator(mode="after")
    def _last_seed_exists(self) -> Self:
        if self.seed is not None and self.seed + self.images - 1 > MOST_SEED:
            raise PydanticCustomError(
                "seed_out_of_range",
                "seed + images - 1 must be at most {most}",
                {"most": MOST_SEED, "field": "seed"},
            )
        return self


class JobRequest(_Asked):
    """A request with nothing left open: what a job holds, and what its pictures follow from."""

    model: ModelId
    seed: Seed
    width: Annotated[Side, Field(description="Pixels, as the model draws it.")]
    height: Annotated[Side, Field(description="Pixels, as the model draws it.")]
    resized_width: Annotated[
        Side | None, Field(description="Pixels, where the finished picture is resized.")
    ] = None
    resized_height: Annotated[
        Side | None, Field(description="Pixels, where the finished picture is resized.")
    ] = None
    metadata: Annotated[bool, Field(description="Whether the pictures carry this.")] = True
    fitted: Annotated[
        tuple[Fitted, ...],
        Field(strict=False, description="What is less because of the key than it would have been."),
    ] = ()

    @property
    def is_resized(self) -> bool:
        return self.resized_width is not None

    @property
    def final_size(self) -> Size:
        """Of the finished pictures."""
        return Size(self.resized_width or self.width, self.resized_height or self.height)

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def warnings(self) -> list[str]:
        """What the caller should know before the job has begun."""
        drawn = Size(self.width, self.height)
        told: Mapping[Fitted, str] = {
            "steps": f"steps is {self.steps}, the most that this key may have; the default is "
            "more.",
            "priority": f"priority is {self.priority}, the highest that this key may have.",
            "size": f"The size is {drawn}, as much as this key may have; the model's own is "
            "larger.",
        }
        found = [told[each] for each in self.fitted if each in told]
        if self.is_resized:
            who = "This key" if "drawn" in self.fitted else f"Model {self.model}"
            found.append(
                f"{who} cannot draw {self.final_size}: the picture is drawn at {drawn} and resized."
            )
        return found

    def asked(self, seed: int | None) -> GenerateRequest:
        """The request that would lead to this one again, but for its seed."""
        left = self.model_dump(exclude={"seed", "width", "height", "fitted", *_RESIZED})
        width, height = self.final_size
        policy: Literal["refuse", "fit"] = "fit" if self.is_resized else "refuse"
        return GenerateRequest(**left, seed=seed, width=width, height=height, size_policy=policy)

    @property
    def is_urgent(self) -> bool:
        return self.priority == "high"

    @property
    def evaluations(self) -> int:
        """Of the model, by each picture."""
        return SAMPLERS[self.sampler].evaluations(self.steps)

    @property
    def guided_steps(self) -> range:
        """The steps at which each picture brings two rows; at the others it brings one."""
        return guided_steps(self.guidance, self.guidance_start, self.guidance_stop, self.steps)

    @property
    def most_rows(self) -> int:
        """Of each picture, at any step."""
        return 2 if self.guided_steps else 1

    @property
    def row_steps(self) -> int:
        """The work in it: rows of U-Net calls."""
        guided = round(self.evaluations * len(self.guided_steps) / self.steps)
        return self.images * (self.evaluations + guided)

    @property
    def approximations(self) -> list[Approximation]:
        """What makes its pictures others than those of the same request without it."""
        is_guided = rows_of(self.guidance) == 2
        return ["guidance_interval"] if is_guided and len(self.guided_steps) < self.steps else []

    @property
    def untold(self) -> set[str]:
        """Fields that are left out where it is written down: see `contract.version.SINCE`."""
        fields = type(self).model_fields
        return {name for name in SINCE if getattr(self, name) == fields[name].default}

    @property
    def version(self) -> int:
        """Of the contract, the least by which its pictures can be drawn."""
        return max((SINCE[name] for name in SINCE.keys() - self.untold), default=1)

    @property
    def rows(self) -> float:
        """Of a U-Net call that has all of its pictures in it, on average over its steps."""
        return self.row_steps / self.evaluations

    def cost(self, native: Size) -> float:
        """What a row weighs, in rows of the model's own size."""
        return self.width * self.height / (native.width * native.height)
