"""How the OpenAPI page shows answers: an example for each success and for each error."""

from collections.abc import Mapping
from typing import Any

from app.problems import MEDIA_TYPE, STATUS, Problem, type_of
from contract import errors
from contract.errors import DarkroomError

EXAMPLES: Mapping[type[DarkroomError], str] = {
    errors.InvalidRequest: "steps: Input should be less than or equal to 150",
    errors.BodyTooLarge: "The body must be at most 65536 bytes.",
    errors.UnknownModel: "There is no such model; valid models are starter.",
    errors.UnsupportedSampler: "Model starter cannot use pndm: diffusers refuses it. "
    "Samplers that work are ddim, euler.",
    errors.UnsupportedSteps: "lcm takes at most 50 steps with model starter.",
    errors.UnsupportedSize: "width must be a multiple of 8 from 16 to 128 pixels.",
    errors.IdempotencyKeyReused: "Another request was sent with this key; it takes a new one.",
    errors.RangeNotSatisfiable: "The picture has 4601 bytes.",
    errors.NotAuthenticated: "Send an API key: `Authorization: Bearer KEY`.",
    errors.BeyondKey: "steps may be at most 50 with this key.",
    errors.CrossSite: "Pages of other sites may not ask for this.",
    errors.HostRefused: "Where no keys are needed, this service is asked by its address, or by a "
    "name in DARKROOM_ALLOWED_HOSTS.",
    errors.LinkRefused: "The link has expired.",
    errors.JobNotFound: "There is no job 01a20cbb-88bd-7a27-b2ae-4323d6ddb518.",
    errors.JobExpired: "Job 01a20cbb-88bd-7a27-b2ae-4323d6ddb518 is no longer kept.",
    errors.JobDeleted: "Job 01a20cbb-88bd-7a27-b2ae-4323d6ddb518 was deleted.",
    errors.JobEnded: "Job 01a20cbb-88bd-7a27-b2ae-4323d6ddb518 has ended already: succeeded.",
    errors.PictureNotReady: "The job is running; its pictures come when it has succeeded.",
    errors.PictureNotFound: "The job has 1 picture, with the number 0.",
    errors.PictureExpired: "The picture is no longer kept.",
    errors.RedisUnavailable: "Redis cannot be reached: Connection refused.",
    errors.QueueFull: "10000 jobs wait for this model already.",
    errors.TooMuchWaiting: "About 95 s of work wait for this model; at most 60 s may.",
    errors.TooManyQueued: "100 jobs of this key wait already.",
    errors.RateLimited: "This key may ask for 60 jobs a minute.",
    errors.StoreUnavailable: "The bucket of the pictures cannot be read.",
    errors.NoModel: "No worker has announced a model yet.",
    errors.WaitInterrupted: "This process stops, and the job goes on: send the request again.",
    errors.SamplerRefused: "diffusers refuses euler_a at steps=3.",
    errors.NotFinite: "It became NaN or infinite.",
    errors.OutOfMemory: "The device ran out of memory on this picture alone.",
    errors.EngineFault: "The engine failed on this picture.",
    errors.WorkerLost: "3 workers died of it, the last one while it ran alone.",
    errors.DeadlineExceeded: "No worker took the job within the time that it may wait.",
    errors.NewerContract: "The job is of version 2 of the contract, and this release knows no more "
    "than 1: upgrade it.",
    errors.MalformedJob: "The record of job 01a20cbb-88bd-7a27-b2ae-4323d6ddb518 cannot be read.",
}
FIELDS: Mapping[type[DarkroomError], str] = {
    errors.InvalidRequest: "steps",
    errors.UnknownModel: "model",
    errors.UnsupportedSampler: "sampler",
    errors.UnsupportedSteps: "steps",
    errors.UnsupportedSize: "width",
    errors.IdempotencyKeyReused: "Idempotency-Key",
    errors.RangeNotSatisfiable: "Range",
    errors.BeyondKey: "steps",
    errors.HostRefused: "Host",
}

Responses = dict[int | str, dict[str, Any]]


def problems(*kinds: type[DarkroomError]) -> Responses:
    """The responses of a route that may fail in these ways."""
    found: Responses = {}
    for kind in kinds:
        status = STATUS[kind.code]
        response = found.setdefault(
            int(status),
            {
                "model": Problem,
                "description": status.phrase,
                "content": {MEDIA_TYPE: {"examples": {}}},
            },
        )
        example = Problem(
            type=type_of(kind.code),
            title=kind.title,
            status=status,
            detail=EXAMPLES[kind],
            code=kind.code,
            field=FIELDS.get(kind),
        )
        response["content"][MEDIA_TYPE]["examples"][kind.code] = {
            "value": example.model_dump(exclude_none=True)
        }
    return found


def success(status: int, description: str, example: object, media_type: str) -> Responses:
    content = {media_type: {"example": example}}
    return {status: {"description": description, "content": content}}


def headers_asked(*headers: tuple[str, str, str]) -> dict[str, Any]:
    """What a route tells of the headers that it reads by itself, each with an example if any."""
    described = []
    for name, description, example in headers:
        examples = {"examples": {"one": {"value": example}}} if example else {}
        schema = {"type": "string"}
        described.append(
            {"name": name, "in": "header", "description": description, "schema": schema} | examples
        )
    return {"parameters": described}


def only_problem_media(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI files a problem under the route's own media type as well, and expects a 422 of its
    own making wherever there is a parameter, even a plain string: both are taken out."""
    reference = {"$ref": "#/components/schemas/Problem"}
    for path in schema["paths"].values():
        for operation in path.values():
            responses: dict[str, Any] = operation["responses"]
            if MEDIA_TYPE not in responses.get("422", {"content": MEDIA_TYPE})["content"]:
                del responses["422"]
            for response in responses.values():
                content = response.get("content", {})
                if MEDIA_TYPE in content:
                    response["content"] = {MEDIA_TYPE: content[MEDIA_TYPE] | {"schema": reference}}
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema
