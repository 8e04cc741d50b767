"""TensorBoard's files, written here and now.

torch's SummaryWriter writes in a thread of its own: where the disk is full, that thread dies with a
traceback. Records are few (see LoopRecipe), so nothing is lost by waiting for them.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from training.errors import TrainingError
from training.files import writing

FORMAT = "brain.Event:2"


class Journal:
    """A run's records, in a file of its own; what earlier runs wrote after `step` no longer counts.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        self._records = RecordWriter(self._file)
        try:
            self._add(Event(file_version=FORMAT))
            # TensorBoard forgets what it has from this step on, and `step` itself was done before.
            start = SessionLog(status=SessionLog.START)
            self._add(Event(step=step + 1, session_log=start))
        except TrainingError:
            self.close()
            raise

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Names such as `loss/total` are grouped by what stands before the slash."""
        named = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Event(step=step, summary=Summary(value=named)))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        with writing(self._path):
            self._records.write(event.SerializeToString())
            self._records.flush()

    def close(self) -> None:
        with suppress(OSError):  # whole records are on the disk by now
            self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
