"""What may be asked for. Every bound of a request stands here, once."""

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from contract.rows import rows_of
from contract.samplers import DEFAULT_SAMPLER, SAMPLERS

MOST_STEPS = 150
MOST_SEED = 2**32 - 1  # torch's CPU generator uses no more


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul_byte", "Text must not hold NUL bytes")
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
ModelId = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_without_nul)
]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    prompt: Annotated[
        Text, Field(min_length=1, description="What to draw. CLIP reads its first tokens only.")
    ]
    negative_prompt: Annotated[Text, Field(description="What to steer away from.")] = ""
    guidance: Annotated[
        float,
        Field(ge=0, le=30, description="At most 1 turns guidance off and halves the work."),
    ] = 7.5
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS, description="Denoising steps.")] = 30
    sampler: Annotated[
        str,
        AfterValidator(_known_sampler),
        Field(json_schema_extra={"enum": list(SAMPLERS)}, description="See GET /models."),
    ] = DEFAULT_SAMPLER
    images: Annotated[int, Field(ge=1, le=10, description="Picture n has the seed `seed + n`.")] = 1
    previews: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="How many times each picture is shown while it develops, as events of the "
            "job. The picture itself is the same with any number.",
        ),
    ] = 0


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
    width: Side
    height: Side

    @property
    def row_steps(self) -> int:
        """The work in it: rows of U-Net calls."""
        return rows_of(self.guidance) * self.images * self.steps
