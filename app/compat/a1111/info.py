"""What the reply says of its pictures: the `info` of the web UI."""

from app.compat.a1111.request import Txt2Img
from app.compat.a1111.views import InfoView
from contract.infotext import HASH_DIGITS, infotext
from contract.job import JobRecord
from contract.request import JobRequest
from contract.sampler_names import WEB_UI_NAMES

TIMESTAMP = "%Y%m%d%H%M%S"
NO_SUBSEED = -1


def info_of(record: JobRecord, asked: Txt2Img) -> InfoView:
    """Of a job that has ended, with or without pictures; a text for each picture that there is."""
    request, result = record.request, record.result
    fingerprint = result.model_fingerprint if result is not None else ""
    made = len(result.images) if result is not None else 0
    size = request.final_size
    return InfoView(
        prompt=request.prompt,
        all_prompts=[request.prompt] * request.images,
        negative_prompt=request.negative_prompt,
        all_negative_prompts=[request.negative_prompt] * request.images,
        seed=request.seed,
        all_seeds=[request.seed + n for n in range(request.images)],
        subseed=NO_SUBSEED,
        all_subseeds=[NO_SUBSEED] * request.images,
        width=size.width,
        height=size.height,
        sampler_name=WEB_UI_NAMES[request.sampler].sampler,
        cfg_scale=request.guidance,
        steps=request.steps,
        batch_size=asked.batch_size,
        sd_model_name=request.model,
        sd_model_hash=fingerprint[:HASH_DIGITS] or None,
        extra_generation_params=_extras(request),
        infotexts=[infotext(request, n, fingerprint) for n in range(made)],
        job_timestamp=record.created_at.strftime(TIMESTAMP),
        warnings=request.warnings + (result.warnings if result is not None else []),
    )


def _extras(request: JobRequest) -> dict[str, str]:
    """In the words of the infotext."""
    extras = {"Schedule type": WEB_UI_NAMES[request.sampler].schedule}
    if request.is_resized:
        drawn = f"{request.width}x{request.height}"
        extras |= {"Size": drawn, "Resized to": str(request.final_size)}
    return extras
