"""What a caller left out, fitted into what their key may ask for: to leave all of it out is always
possible. What was asked for stays, and is judged elsewhere.
"""

from typing import Any

from contract.keys import KeyLimits
from contract.request import PRIORITIES, Fitted, GenerateRequest
from contract.sizes import nearest_size
from contract.workers import ModelCard


def fit_defaults(
    request: GenerateRequest, model: ModelCard, limits: KeyLimits
) -> tuple[GenerateRequest, tuple[Fitted, ...]]:
    """The request with those defaults lowered that are too much for the key, and which they are."""
    said = request.model_fields_set
    lowered: dict[str, Any] = {}
    names: list[Fitted] = []
    if "steps" not in said and limits.max_steps is not None and request.steps > limits.max_steps:
        lowered["steps"] = limits.max_steps
        names.append("steps")
    ranks = PRIORITIES.index
    if "priority" not in said and ranks(request.priority) < ranks(limits.priority):
        lowered["priority"] = limits.priority
        names.append("priority")
    if sides := _lowered_sides(request, model, limits):
        lowered |= sides
        names.append("size")
    return request.model_copy(update=lowered) if names else request, tuple(names)


def _lowered_sides(request: GenerateRequest, model: ModelCard, limits: KeyLimits) -> dict[str, int]:
    """Those that were left out, where the model's own are too much for the key."""
    native = model.native
    if limits.max_side is None or max(native) <= limits.max_side:
        return {}
    size = nearest_size(native, within_key(model, limits))
    return {side: most for side, most in size._asdict().items() if getattr(request, side) is None}


def within_key(model: ModelCard, limits: KeyLimits) -> ModelCard:
    """The model with the largest side that the key may have; as it is where it draws none so
    small."""
    if limits.max_side is None or limits.max_side >= model.max_side:
        return model
    most = limits.max_side // model.side_multiple * model.side_multiple
    return model.model_copy(update={"max_side": most}) if most >= model.min_side else model
