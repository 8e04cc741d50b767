"""How a command ends."""

from enum import IntEnum

from contract.errors import DarkroomError, GenerationError
from darkroom.client.errors import (
    BadAnswer,
    ClientError,
    JobEnded,
    ServiceFault,
    Unavailable,
    Unreachable,
)


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1  # the job, the service, or something that `darkroom doctor` looked at
    MISTAKE = 2  # in what was asked; the same again ends the same
    LATER = 3  # the service cannot be reached, or cannot do it now
    UNREAD = 141  # nobody reads on, as shells have it
    INTERRUPTED = 130  # by Ctrl-C, as shells have it


def exit_code(error: DarkroomError | ClientError) -> ExitCode:
    match error:
        case GenerationError() | JobEnded() | ServiceFault() | BadAnswer():
            return ExitCode.FAILED
        case Unreachable() | Unavailable():
            return ExitCode.LATER
        case _:
            return ExitCode.MISTAKE
