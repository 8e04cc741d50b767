"""The commands that ask a service, and their options."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from contract.request import GenerateRequest
from darkroom.client.jobs import JobState

if TYPE_CHECKING:
    from darkroom.asked_service import AskedService

REQUEST_FIELDS: Mapping[str, type] = {
    "prompt": str,
    "negative_prompt": str,
    "guidance": float,
    "guidance_start": float,
    "guidance_stop": float,
    "steps": int,
    "sampler": str,
    "seed": int,
    "width": int,
    "height": int,
    "size_policy": str,
    "images": int,
    "quality": int,
    "priority": str,
    "model": str,
}
"""The fields of a request as options; their bounds are the contract's."""

EXIT_CODES = """exit codes: 0 done; 1 the job or the service failed; 2 a mistake in what was asked;
3 the service cannot be reached or cannot do it now; 130 interrupted by Ctrl-C"""


def add_client_commands(commands: Any) -> None:
    """Adds them to the subparsers of the `darkroom` command."""
    generate = _command(commands, "generate", "make a picture from a prompt; Ctrl-C cancels it")
    generate.add_argument("prompt", help='what to draw, such as "red apple"')
    properties = GenerateRequest.model_json_schema()["properties"]
    for name, kind in REQUEST_FIELDS.items():
        if name != "prompt":
            option = f"--{name.replace('_', '-')}"
            generate.add_argument(option, type=kind, help=_described(properties[name]))
    generate.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("picture.png"),
        help="file to write: .png, .jpg or .webp (default: picture.png)",
    )
    generate.add_argument(
        "--in-process", action="store_true", help="ask no service; load the model here"
    )
    generate.set_defaults(command=_generate)

    jobs = _command(commands, "jobs", "list your jobs, newest first")
    jobs.add_argument(
        "--state", choices=get_args(JobState), action="append", help="only these; repeatable"
    )
    jobs.add_argument("--model", help="only those of this model")
    jobs.add_argument("--limit", type=_count, default=20, help="at most so many (default: 20)")
    jobs.set_defaults(command=_jobs)

    cancel = _command(commands, "cancel", "cancel jobs, whether they wait or run")
    cancel.add_argument("job", nargs="+", help="the id of a job")
    cancel.set_defaults(command=_cancel)

    status = _command(commands, "status", "a service and its workers, or one job")
    status.add_argument("job", nargs="?", help="the id of a job (default: the service itself)")
    status.set_defaults(command=_status)


def _described(schema: Mapping[str, Any]) -> str:
    """What the contract says of a field, as an option's help."""
    kind = schema.get("anyOf", [schema])[0]  # the other one is null
    told = [schema["description"]] if "description" in schema else []
    if "enum" in kind:
        told.append(f"One of {', '.join(kind['enum'])}.")
    if "minimum" in kind:
        told.append(f"From {kind['minimum']} to {kind['maximum']}.")
    if "multipleOf" in kind:
        told.append(f"A multiple of {kind['multipleOf']}.")
    if schema.get("default") not in (None, ""):
        told.append(f"Default: {schema['default']}.")
    return " ".join(told).replace("%", "%%")


def _command(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=does, epilog=EXIT_CODES)
    command.add_argument(
        "--url", help="the service, else DARKROOM_URL (default: the one of this machine)"
    )
    command.add_argument(
        "--key", help="API key of that service; better in DARKROOM_KEY, where nobody else sees it"
    )
    command.add_argument("--json", action="store_true", help="say it as JSON")
    return command


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _service(options: argparse.Namespace) -> "AskedService":
    from darkroom.asked_service import AskedService

    return AskedService.of(options.url, options.key)


def _generate(options: argparse.Namespace) -> None:
    from darkroom.generate import generate

    given = {name: getattr(options, name) for name in REQUEST_FIELDS}
    generate(
        {name: value for name, value in given.items() if value is not None},
        output=options.output,
        service=_service(options),
        in_process=options.in_process,
        as_json=options.json,
    )


def _jobs(options: argparse.Namespace) -> None:
    from darkroom.jobs import show_jobs

    filters: Any = {"state": options.state or (), "model": options.model}
    show_jobs(_service(options), filters, options.limit, as_json=options.json)


def _cancel(options: argparse.Namespace) -> None:
    from darkroom.jobs import cancel_jobs

    cancel_jobs(_service(options), options.job, as_json=options.json)


def _status(options: argparse.Namespace) -> None:
    from darkroom.jobs import show_job, show_status

    if options.job is None:
        show_status(_service(options), as_json=options.json)
    else:
        show_job(_service(options), options.job, as_json=options.json)
