"""`darkroom generate`: a picture from a prompt, by a running service or in this process."""

import hashlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from tqdm import tqdm

from app.settings import AppSettings
from contract import identity
from contract.errors import DarkroomError, InvalidRequest
from contract.request import GenerateRequest
from contract.resolution import resolve
from contract.settings import load_settings
from darkroom.address import local_url

SUFFIX = ".png"
POLL_S = 0.1


class ServiceRefused(DarkroomError):
    """What the service answered, as a sentence."""

    code = "service_refused"
    title = "The service did not make the picture"


class BadOutput(DarkroomError):
    """Where the pictures were to go, they cannot."""

    code = "bad_output"
    title = "The picture cannot be written"


def generate(
    asked: Mapping[str, Any],
    *,
    output: Path,
    url: str | None,
    in_process: bool,
    key: str | None = None,
) -> None:
    """Makes the pictures and writes them; several get numbered names.

    Raises:
        DarkroomError: the request is refused, the job failed, or there is nowhere to write.
    """
    request = _validate(asked)
    paths = [_path(output, n, request.images) for n in range(request.images)]
    _require_writable(paths)
    address = None if in_process else url or _running_service()
    with tqdm(total=request.steps, unit="step", desc="developing", leave=False) as bar:
        if address is None:
            seed, pictures = _here(request, bar)
        else:
            seed, pictures = _there(address, key, request, bar)
    for n, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        _write(path, picture)
        sys.stdout.write(f"{path} (seed {seed + n})\n")


def _validate(asked: Mapping[str, Any]) -> GenerateRequest:
    try:
        return GenerateRequest.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "seed"
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from error


def _require_writable(paths: Sequence[Path]) -> None:
    """Before any work is done: it would be lost."""
    for path in paths:
        if path.suffix.lower() != SUFFIX:
            raise BadOutput(f"{path}: the file's name must end in {SUFFIX}.")
        if not path.parent.is_dir():
            raise BadOutput(f"{path}: there is no directory {path.parent}.")
        if path.is_dir():
            raise BadOutput(f"{path}: that is a directory.")


def _write(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise BadOutput(f"{path}: {error.strerror}.") from error


def _running_service() -> str | None:
    """The URL of this machine's service, where the settings say that it listens."""
    settings = load_settings(AppSettings)
    url = local_url(settings.host, settings.port)
    return url if _is_up(url) else None


def _is_up(url: str) -> bool:
    """Whether a darkroom with a live worker answers there."""
    try:
        ready = httpx.get(f"{url}/readyz", timeout=1.0)
        return bool(ready.status_code == httpx.codes.OK and ready.json().get("workers"))
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def _there(
    url: str, key: str | None, request: GenerateRequest, bar: "tqdm[Any]"
) -> tuple[int, list[bytes]]:
    """Has a service make the pictures. Returns the first seed and the PNGs."""
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30.0) as client:
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
