"""From what was asked to what will be drawn: defaults filled in, and held against the model."""

import secrets

from contract.errors import (
    InvalidRequest,
    UnknownModel,
    UnsupportedSampler,
    UnsupportedSize,
    UnsupportedSteps,
)
from contract.fitting import fit_defaults, within_key
from contract.keys import NO_LIMITS, KeyLimits
from contract.request import (
    ASIDES,
    DEFAULT_QUALITY,
    MOST_RESIZED,
    MOST_SEED,
    GenerateRequest,
    JobRequest,
)
from contract.sizes import Size, can_draw, nearest_size
from contract.workers import ModelCard

_RESOLVED = {"model", "seed", "width", "height", "size_policy", "quality", "metadata", *ASIDES}


def resolve(
    request: GenerateRequest,
    model: ModelCard,
    *,
    metadata: bool = True,
    limits: KeyLimits = NO_LIMITS,
) -> JobRequest:
    """The request with nothing left open, for a model that can do it.

    Args:
        metadata: whether pictures carry their parameters, where the request does not say.
        limits: the defaults, and what is to be fitted, are lowered to these.

    Raises:
        InvalidRequest: it names a quality for a format that has none.
        UnsupportedSampler: the model cannot use the sampler at all.
        UnsupportedSteps: the sampler takes fewer steps on this model.
        UnsupportedSize: the model does not draw this size.
    """
    request, fitted = fit_defaults(request, model, limits)
    _check_sampler(request, model)
    drawn, final = _sizes(request, model, within_key(model, limits))
    if drawn != final and all(can_draw(model, side) for side in final):
        fitted += ("drawn",)
    return JobRequest(
        **request.model_dump(exclude=_RESOLVED),
        model=model.id,
        seed=_seed(request),
        width=drawn.width,
        height=drawn.height,
        resized_width=final.width if final != drawn else None,
        resized_height=final.height if final != drawn else None,
        quality=_quality(request),
        metadata=metadata if request.metadata is None else request.metadata,
        fitted=fitted,
    )


def check(request: JobRequest, model: ModelCard) -> None:
    """Once more where the job is done: the model that judged the request may have been another's.

    Raises:
        UnknownModel: it is for another model.
        UnsupportedSize: the model does not draw this size.
    """
    if request.model != model.id:
        raise UnknownModel(f"This worker holds model {model.id}.", field="model")
    _require_drawable(Size(request.width, request.height), model)


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


def _sizes(request: GenerateRequest, model: ModelCard, allowed: ModelCard) -> tuple[Size, Size]:
    """What is drawn, and what becomes of it.

    Args:
        allowed: the model as the caller's key may use it, for what is to be fitted.
    """
    final = Size(request.width or model.width, request.height or model.height)
    if request.size_policy == "refuse":
        _require_drawable(final, model)
        return final, final
    if all(can_draw(allowed, side) for side in final):
        return final, final
    _require_resizable(final)
    return nearest_size(final, allowed), final


def _require_drawable(size: Size, model: ModelCard) -> None:
    for field, side in size._asdict().items():
        if not can_draw(model, side):
            raise UnsupportedSize(
                f"{field} must be a multiple of {model.side_multiple} from {model.min_side} to "
                f"{model.max_side} pixels for model {model.id}; with size_policy=fit the nearest "
                "size is drawn and resized.",
                field=field,
            )


def _require_resizable(size: Size) -> None:
    for field, side in size._asdict().items():
        if side > MOST_RESIZED:
            raise UnsupportedSize(
                f"{field} must be at most {MOST_RESIZED} pixels for a picture that is resized.",
                field=field,
            )


def _quality(request: GenerateRequest) -> int | None:
    if request.format != "png":
        return request.quality or DEFAULT_QUALITY
    if request.quality is not None:
        raise InvalidRequest("A png loses nothing and has no quality.", field="quality")
    return None


def _seed(request: GenerateRequest) -> int:
    """One at random where none was given, low enough for the last picture's to exist."""
    if request.seed is not None:
        return request.seed
    return secrets.randbelow(MOST_SEED + 2 - request.images)
