"""`darkroom jobs`, `darkroom cancel` and `darkroom status`: what a service does, and for whom."""

import json
import sys
from collections.abc import Sequence

from darkroom.asked_service import BRIEF, AskedService
from darkroom.client.asking import Filters
from darkroom.client.errors import Unreachable
from darkroom.client.fleet import Model, Worker
from darkroom.client.jobs import Job
from darkroom.table import write_table

TIME = "%Y-%m-%dT%H:%M:%SZ"
MOST_PROMPT = 40  # characters in a list


def show_jobs(service: AskedService, filters: Filters, limit: int, *, as_json: bool) -> None:
    """Those of the caller, newest first."""
    with service.client(BRIEF) as client:
        jobs = list(client.jobs(limit=limit, **filters))
    if as_json:
        _write_json([job.model_dump(mode="json") for job in jobs])
        return
    rows = [
        (job.id, job.state, _how_far(job), job.request.seed, job.request.prompt[:MOST_PROMPT])
        for job in jobs
    ]
    write_table(("ID", "STATE", "", "SEED", "PROMPT"), rows)


def cancel_jobs(service: AskedService, job_ids: Sequence[str], *, as_json: bool) -> None:
    """
    Raises:
        WrongState, NotThere: one of them has ended, or is none; those before it are cancelled.
    """
    with service.client(BRIEF) as client:
        for job_id in job_ids:
            job = client.cancel(job_id)
            if as_json:
                _write_json(job.model_dump(mode="json"))
            else:
                sys.stdout.write(f"Job {job.id} is cancelled.\n")


def show_job(service: AskedService, job_id: str, *, as_json: bool) -> None:
    with service.client(BRIEF) as client:
        job = client.job(job_id)
    if as_json:
        _write_json(job.model_dump(mode="json"))
        return
    request, error = job.request, job.error
    size = f"{request.resized_width or request.width}x{request.resized_height or request.height}"
    rows = [
        ("state", f"{job.state} {_how_far(job) or ''}".rstrip()),
        ("error", f"{error.code}: {error.detail}" if error is not None else None),
        ("prompt", request.prompt),
        ("seed", request.seed),
        ("steps", f"{request.steps} of {request.sampler} on {job.model}"),
        ("pictures", f"{request.images} of {size}, {request.format}"),
        ("created", job.created_at.strftime(TIME)),
        ("worker", job.worker),
    ]
    write_table(("job", job.id), rows)


def show_status(service: AskedService, *, as_json: bool) -> None:
    """
    Raises:
        Unreachable: a service answers, and no worker.
    """
    with service.client(BRIEF) as client:
        workers, models = client.workers(), client.models()
    if as_json:
        report = {
            "url": service.url,
            "workers": [each.model_dump(mode="json") for each in workers],
            "models": [each.model_dump(mode="json") for each in models],
        }
        _write_json(report)
    else:
        sys.stdout.write(f"{service.url} is up.\n\n")
        heads = ("MODEL", "SIZE", "LARGEST SIDE", "WORKERS", "JOBS WAITING")
        write_table(heads, [_model_row(each) for each in models])
        sys.stdout.write("\n")
        heads = ("WORKER", "MODEL", "DEVICE", "ROWS", "ROW-STEPS/S")
        write_table(heads, [_worker_row(each) for each in workers])
    if not workers:
        raise Unreachable(f"{service.url} has no live worker: jobs wait until one comes.")


def _how_far(job: Job) -> str | None:
    if job.queue_position is not None:
        return f"at place {job.queue_position}"
    if job.progress is not None:
        return f"step {job.progress.step} of {job.progress.steps}"
    if job.error is not None:
        return job.error.code
    if job.timings is not None and job.timings.total_s is not None:
        return f"after {job.timings.total_s:.1f} s"
    return None


def _model_row(model: Model) -> tuple[object, ...]:
    size = f"{model.width}x{model.height}"
    return (model.id, size, model.max_side, model.live_workers, model.queued)


def _worker_row(worker: Worker) -> tuple[object, ...]:
    speed = f"{worker.row_steps_per_s:.0f}" if worker.row_steps_per_s is not None else None
    device = f"{worker.device} {worker.dtype}"
    return (worker.name, worker.model, device, worker.rows, speed)


def _write_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
