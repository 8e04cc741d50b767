"""From what was asked to what will be drawn: defaults filled in, and held against the model."""

import secrets

from contract.errors import UnknownModel, UnsupportedSampler, UnsupportedSize, UnsupportedSteps
from contract.request import ASIDES, MOST_SEED, GenerateRequest, JobRequest
from contract.workers import ModelCard


def resolve(request: GenerateRequest, model: ModelCard) -> JobRequest:
    """The request with nothing left open, for a model that can do it.

    Raises:
        UnsupportedSampler: the model cannot use the sampler at all.
        UnsupportedSteps: the sampler takes fewer steps on this model.
        UnsupportedSize: the model does not draw this size.
    """
    _check_sampler(request, model)
    return JobRequest(
        **request.model_dump(exclude={"model", "seed", "width", "height", *ASIDES}),
        model=model.id,
        seed=_seed(request),
        width=_side(request.width, "width", model.width, model),
        height=_side(request.height, "height", model.height, model),
    )


def check(request: JobRequest, model: ModelCard) -> None:
    """Once more where the job is done: the model that judged the request may have been another's.

    Raises:
        UnknownModel: it is for another model.
        UnsupportedSize: the model does not draw this size.
    """
    if request.model != model.id:
        raise UnknownModel(f"This worker holds model {model.id}.", field="model")
    _side(request.width, "width", model.width, model)
    _side(request.height, "height", model.height, model)


def _check_sampler(request: GenerateRequest, model: ModelCard) -> None:
    card = model.samplers.get(request.sampler)
    if card is None or card.refusal is not None:
        usable = [name for name, other in model.samplers.items() if other.refusal is None]
        reason = card.refusal if card is not None else "its workers do not offer it"
        raise UnsupportedSampler(
            f"Model {model.id} cannot use {request.sampler}: {reason}. "
            f"Samplers that work are {', '.join(usable)}.",
            field="sampler",
            allowed=usable,
        )
    if request.steps > card.max_steps:
        raise UnsupportedSteps(
            f"{request.sampler} takes at most {card.max_steps} steps with model {model.id}.",
            field="steps",
        )


def _side(asked: int | None, field: str, native: int, model: ModelCard) -> int:
    side = native if asked is None else asked
    if not model.min_side <= side <= model.max_side or side % model.side_multiple:
        raise UnsupportedSize(
            f"{field} must be a multiple of {model.side_multiple} from {model.min_side} to "
            f"{model.max_side} pixels for model {model.id}.",
            field=field,
        )
    return side


def _seed(request: GenerateRequest) -> int:
    """One at random where none was given, low enough for the last picture's to exist."""
    if request.seed is not None:
        return request.seed
    return secrets.randbelow(MOST_SEED + 2 - request.images)
