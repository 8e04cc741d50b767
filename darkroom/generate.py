"""`darkroom generate`: a picture from a prompt, by a running service or in this process."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tqdm import tqdm

from contract.errors import InvalidRequest
from contract.request import GenerateRequest
from darkroom.asked_service import BRIEF, AskedService
from darkroom.client import files
from darkroom.client.errors import CannotSave, ClientError, Unreachable, WrongState
from darkroom.client.events import JobEvent, Progressed, Queued, Requeued
from darkroom.client.jobs import Job

Tell = Callable[[str, int], None]
"""Told what is being done, and how many steps of it are."""


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures, and what is to be said of them."""

    contents: Sequence[bytes]
    seeds: Sequence[int]
    warnings: Sequence[str]
    job: Job | None  # None where no service was asked


def generate(
    asked: Mapping[str, Any],
    *,
    output: Path,
    service: AskedService,
    in_process: bool,
    as_json: bool,
) -> None:
    """Makes the pictures and writes them; several get numbered names.

    Raises:
        DarkroomError, ClientError: the request is refused, the job failed, or there is nowhere to
            write.
    """
    request = _validate({"format": _format(output), **asked})
    files.require_writable(files.numbered(output, request.images))
    is_here = in_process or not (service.is_named or service.is_up())
    with tqdm(total=request.steps, unit="step", leave=False, disable=None) as bar:

        def tell(what: str, steps: int) -> None:
            bar.set_description(what)
            bar.update(steps - bar.n)

        try:
            made = _here(request, tell) if is_here else _there(service, request, tell)
        except ModuleNotFoundError as error:
            if in_process:
                raise
            raise Unreachable(
                f"No service answers at {service.url}, and to draw it here needs {error.name}."
            ) from error
    for warning in made.warnings:
        sys.stderr.write(f"note: {warning}\n")
    _report(files.save(output, made.contents), made, as_json)


def _format(output: Path) -> files.Format:
    """
    Raises:
        CannotSave: the file's name fits no picture.
    """
    found = files.FORMATS.get(output.suffix.lower())
    if found is None:
        raise CannotSave(f"{output}: the file's name must end in one of {' '.join(files.FORMATS)}.")
    return found


def _validate(asked: Mapping[str, Any]) -> GenerateRequest:
    try:
        return GenerateRequest.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or first["ctx"]["field"]
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from error


def _here(request: GenerateRequest, tell: Tell) -> Made:
    from darkroom.in_process import develop_here

    result, contents = develop_here(request, tell)
    return Made(contents, [image.seed for image in result.images], result.warnings, None)


def _there(service: AskedService, request: GenerateRequest, tell: Tell) -> Made:
    """By a service, and by Ctrl-C not at all."""
    service.require_reachable()
    with service.client() as client:
        job = client.generate(**request.model_dump(mode="json", exclude_unset=True))
        try:
            for event in client.events(job):
                _show(event, tell)
            job = client.wait(job)
        except KeyboardInterrupt:
            _cancel(service, job)
            raise
        seeds = [image.seed for image in job.images]
        return Made(client.pictures(job), seeds, job.warnings, job)


def _show(event: JobEvent, tell: Tell) -> None:
    match event:
        case Queued(queue_position=int(place)):
            tell(f"waiting at place {place}", 0)
        case Requeued():
            tell("waiting for another worker", 0)
        case Progressed(step=step):
            tell("developing", step)


def _cancel(service: AskedService, job: Job) -> None:
    try:
        with service.client(BRIEF) as client:
            client.cancel(job)
        sys.stderr.write(f"\nJob {job.id} is cancelled.\n")
    except WrongState:
        sys.stderr.write(f"\nJob {job.id} has just ended; its pictures are kept for a while.\n")
    except ClientError as error:
        sys.stderr.write(f"\nJob {job.id} could not be cancelled, and may go on: {error}\n")


def _report(paths: Sequence[Path], made: Made, as_json: bool) -> None:
    files_made = list(zip(paths, made.seeds, strict=True))
    if not as_json:
        for path, seed in files_made:
            sys.stdout.write(f"{path} (seed {seed})\n")
        return
    report = {
        "files": [{"path": str(path), "seed": seed} for path, seed in files_made],
        "warnings": list(made.warnings),
        "job": made.job.model_dump(mode="json") if made.job is not None else None,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
