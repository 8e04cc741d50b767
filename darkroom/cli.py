"""The `darkroom` command. It imports the other packages only inside the command that needs them."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contract.errors import BadSetting, DarkroomError
from contract.logs import LogSettings, write_log
from contract.settings import load_settings
from darkroom.client.errors import ClientError
from darkroom.client_commands import add_client_commands
from darkroom.exit_codes import ExitCode, exit_code

KEY_LIMITS: Mapping[str, type] = {
    "per_minute": int,
    "queued": int,
    "max_side": int,
    "max_steps": int,
    "weight": int,
    "priority": str,
}
"""The limits of a key as options; their bounds are the contract's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; whatever goes wrong is one sentence and an exit code."""
    options = _parser().parse_args(arguments)
    try:
        write_log(_log_settings(options))
        options.command(options)
        sys.stdout.flush()
    except (DarkroomError, ClientError) as error:
        sys.exit(_complain(str(error), exit_code(error)))
    except ModuleNotFoundError as error:
        missing = f"This needs {error.name}, which is not installed; the README names the extras."
        sys.exit(_complain(missing, ExitCode.MISTAKE))
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the end writes there too
        sys.exit(ExitCode.UNREAD)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _log_settings(options: argparse.Namespace) -> LogSettings:
    try:
        return load_settings(LogSettings)
    except BadSetting:
        if options.command is not _doctor:
            raise
        return LogSettings.model_construct()  # the defaults: it says itself what is wrong


def _complain(sentence: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"darkroom: {sentence}\n")
    return code


def _run(options: argparse.Namespace) -> None:
    from darkroom.run import run_all

    run_all(port=options.port, metrics_port=options.metrics_port, data=options.data)


def _api(options: argparse.Namespace) -> None:
    from app.main import serve
    from app.settings import AppSettings

    serve(load_settings(AppSettings, host=options.host, port=options.port))


def _worker(options: argparse.Namespace) -> None:
    from worker.main import run_worker
    from worker.settings import WorkerSettings

    run_worker(
        load_settings(
            WorkerSettings,
            worker_name=options.name,
            checkpoint=options.checkpoint,
            metrics_port=options.metrics_port,
        )
    )
    # All is said and done; to take torch down as well would hold up a rolling restart.
    logging.shutdown()
    os._exit(0)


def _webhooks(options: argparse.Namespace) -> None:
    from courier.main import run_courier
    from courier.settings import CourierSettings

    run_courier(load_settings(CourierSettings))
    # Receivers that have not answered by now would hold up the end for their whole time.
    logging.shutdown()
    os._exit(0)


def _doctor(options: argparse.Namespace) -> None:
    from darkroom.doctor.examination import run_doctor
    from darkroom.doctor.parts import Part

    sys.exit(run_doctor(Part(options.part), as_json=options.json, with_details=options.verbose))


def _keys_add(options: argparse.Namespace) -> None:
    from darkroom import keys

    given = {name: getattr(options, name) for name in KEY_LIMITS}
    keys.add(options.name, {name: value for name, value in given.items() if value is not None})


def _keys_list(options: argparse.Namespace) -> None:
    from darkroom import keys

    keys.show()


def _keys_revoke(options: argparse.Namespace) -> None:
    from darkroom import keys

    keys.revoke(options.key)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="darkroom", description="A self-hosted text-to-image service."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="Redis, API and worker on this machine, all in one")
    run.add_argument("--port", type=int, help="the API's (default: 8000)")
    run.add_argument("--metrics-port", type=int, help="the worker's /metrics (default: 9464)")
    run.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="where the embedded Redis keeps its data when REDIS_URL is unset (default: .data)",
    )
    run.set_defaults(command=_run)

    api = commands.add_parser("api", help="the HTTP side")
    api.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    api.add_argument("--port", type=int, help="port to listen on (default: 8000)")
    api.set_defaults(command=_api)

    worker = commands.add_parser("worker", help="the GPU side")
    worker.add_argument("--name", help="the worker's name (default: host and process id)")
    worker.add_argument("--checkpoint", type=Path, help="a Stable Diffusion folder")
    worker.add_argument("--metrics-port", type=int, help="its /metrics (default: 9464)")
    worker.set_defaults(command=_worker)

    webhooks = commands.add_parser("webhooks", help="delivers webhooks")
    webhooks.set_defaults(command=_webhooks)

    doctor = commands.add_parser("doctor", help="what is wrong here, and how to mend it")
    doctor.add_argument(
        "--part",
        choices=("all", "api", "worker", "webhooks"),
        default="all",
        help="what is to run here (default: all of it)",
    )
    doctor.add_argument("--json", action="store_true", help="for a program")
    doctor.add_argument("--verbose", action="store_true", help="settings that are not set, too")
    doctor.set_defaults(command=_doctor)

    add_client_commands(commands)
    _add_keys(commands.add_parser("keys", help="API keys: who may ask, and for how much"))
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="make a key; it is shown once")
    add.add_argument("name", help="whose it is")
    for name, kind in KEY_LIMITS.items():
        add.add_argument(f"--{name.replace('_', '-')}", type=kind)
    add.set_defaults(command=_keys_add)
    commands.add_parser("list", help="all keys and their limits").set_defaults(command=_keys_list)
    revoke = commands.add_parser("revoke", help="take a key away, within seconds")
    revoke.add_argument("key", help="its id or its name")
    revoke.set_defaults(command=_keys_revoke)
