"""What a picture says of itself, in AUTOMATIC1111's form, which every gallery reads, and in ours.

Nothing of a job is in it, neither its id nor a time: equal pictures stay equal bytes.
"""

import json

from contract.request import PICTURE_FIELDS, JobRequest
from contract.sampler_names import WEB_UI_NAMES

HASH_DIGITS = 10  # of a model's fingerprint, as the web UI shows its own
RECIPE_FIELDS = {*PICTURE_FIELDS, "size_policy"} - {"images", "metadata"}


def infotext(request: JobRequest, n: int, model_fingerprint: str) -> str:
    """The parameters of picture `n` as the web UI writes them.

    Args:
        model_fingerprint: SHA-256 of the model's files; left out where it is empty.
    """
    name = WEB_UI_NAMES[request.sampler]
    values = {
        "Steps": request.steps,
        "Sampler": name.sampler,
        "Schedule type": name.schedule,
        "CFG scale": request.guidance,
        # Words of our own: the web UI's "Skip Early CFG" counts one step more.
        "Guidance start": request.guidance_start or "",
        "Guidance stop": request.guidance_stop if request.guidance_stop < 1 else "",
        "Seed": request.seed + n,
        "Size": f"{request.width}x{request.height}",
        "Model hash": model_fingerprint[:HASH_DIGITS],
        "Model": request.model,
        "Resized to": str(request.final_size) if request.is_resized else "",
        "Version": "darkroom",
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(
        ", ".join(f"{key}: {_quoted(value)}" for key, value in values.items() if value != "")
    )
    return "\n".join(lines)


def recipe(request: JobRequest, n: int, model_fingerprint: str) -> str:
    """JSON whose `request` is a body of POST /generate that makes picture `n` again, alone."""
    asked = request.asked(request.seed + n)
    told = RECIPE_FIELDS - request.untold
    fields = asked.model_dump(mode="json", include=told, exclude_none=True)
    content = {"request": fields, "model_fingerprint": model_fingerprint}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _quoted(value: object) -> str:
    """As the web UI does it, whose parser splits at commas and colons."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",:\n") else text
