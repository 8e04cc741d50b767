"""`darkroom generate`: a picture from a prompt, by a running service or in this process."""

import hashlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from tqdm import tqdm

from contract import identity
from contract.errors import DarkroomError, InvalidRequest
from contract.request import GenerateRequest
from contract.resolution import resolve

LOCAL_URL = "http://127.0.0.1:8000"
POLL_S = 0.1


class ServiceRefused(DarkroomError):
    """What the service answered, as a sentence."""

    code = "service_refused"
    title = "The service did not make the picture"


def generate(asked: Mapping[str, Any], *, output: Path, url: str | None, in_process: bool) -> None:
    """Makes the pictures and writes them; several get numbered names.

    Raises:
        DarkroomError: the request is refused, or the job failed.
    """
    request = _validate(asked)
    address = None if in_process else url or (LOCAL_URL if _is_up(LOCAL_URL) else None)
    with tqdm(total=request.steps, unit="step", desc="developing", leave=False) as bar:
        if address is None:
            seed, pictures = _here(request, bar)
        else:
            seed, pictures = _there(address, request, bar)
    for n, picture in enumerate(pictures):
        path = _path(output, n, len(pictures))
        path.write_bytes(picture)
        sys.stdout.write(f"{path} (seed {seed + n})\n")


def _validate(asked: Mapping[str, Any]) -> GenerateRequest:
    try:
        return GenerateRequest.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "seed"
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from error


def _is_up(url: str) -> bool:
    """Whether a darkroom with a live worker answers there."""
    try:
        ready = httpx.get(f"{url}/readyz", timeout=1.0)
        return bool(ready.status_code == httpx.codes.OK and ready.json().get("workers"))
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def _there(url: str, request: GenerateRequest, bar: "tqdm[Any]") -> tuple[int, list[bytes]]:
    """Has a service make the pictures. Returns the first seed and the PNGs."""
    try:
        with httpx.Client(base_url=url, timeout=30.0) as client:
            body = request.model_dump(mode="json", exclude_none=True)
            job = _answer(client.post("/generate", json=body)).json()
            while job["state"] in ("queued", "running"):
                time.sleep(POLL_S)
                job = _answer(client.get(f"/jobs/{job['id']}")).json()
                bar.set_description(job["state"])
                if job["progress"] is not None:
                    bar.update(job["progress"]["step"] - bar.n)
            if job["state"] != "succeeded":
                fault = job["error"] or {"code": job["state"], "detail": "It was cancelled."}
                raise ServiceRefused(f"{fault['code']}: {fault['detail']}")
            _warn(job["warnings"])
            pictures = [_answer(client.get(image["url"])).content for image in job["images"]]
            return int(job["images"][0]["seed"]), pictures
    except httpx.HTTPError as error:
        raise ServiceRefused(f"{url} cannot be reached: {error}") from error


def _answer(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        try:
            problem = response.json()
            field = f"{problem['field']}: " if problem.get("field") else ""
            text = f"{problem['code']}: {field}{problem['detail']}"
        except (ValueError, KeyError, TypeError):
            text = f"{response.status_code} from {response.url}"
        raise ServiceRefused(text)
    return response


def _here(request: GenerateRequest, bar: "tqdm[Any]") -> tuple[int, list[bytes]]:
    """Makes the pictures in this process. Returns the first seed and the PNGs."""
    bar.set_description("loading the model")
    from contract.settings import load_settings
    from worker.alone import develop_alone
    from worker.announcement import model_card
    from worker.development import Development
    from worker.settings import WorkerSettings
    from worker.start import start_engine
    from worker.tables import TableCache

    settings = load_settings(WorkerSettings, max_rows=2 * request.images)
    engine = start_engine(settings)
    resolved = resolve(request, model_card(engine, settings))
    development = Development(identity.new_job_id(), resolved)
    pictures: dict[str, bytes] = {}

    def keep(png: bytes) -> str:
        digest = hashlib.sha256(png).hexdigest()
        pictures[digest] = png
        return digest

    bar.set_description("developing")
    result = develop_alone(
        engine,
        TableCache(engine.model.scheduler_config),
        development,
        keep,
        lambda share: bar.update(int(share * request.steps) - bar.n),
    )
    _warn(result.warnings)
    return resolved.seed, [pictures[image.sha256] for image in result.images]


def _warn(warnings: list[str]) -> None:
    for text in warnings:
        tqdm.write(f"note: {text}", file=sys.stderr)


def _path(output: Path, n: int, count: int) -> Path:
    return output if count == 1 else output.with_name(f"{output.stem}-{n}{output.suffix}")
