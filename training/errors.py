"""What the training command can say when it cannot go on.

    TrainingError        one sentence that says what to do; the command ends with exit code 1
    └── Interrupted      a signal asked for the end; the state is saved, the exit code 128 + signal

A finished stage is never lost by either: a stage's result is written whole or not at all.
"""


class TrainingError(Exception):
    """Its text is one sentence for the person at the terminal."""


class Interrupted(TrainingError):
    """A signal asked for the end, and the state was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
