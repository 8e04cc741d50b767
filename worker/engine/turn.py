"""One turn of the loop: what was asked of the device in it, and what the pictures had of it."""

from dataclasses import dataclass, field

from worker.engine.batch import Row
from worker.engine.stream import Moment


@dataclass(slots=True, eq=False)
class Turn:
    """It is over when the device has done the step that was asked for in it; only then is it known
    how long that took."""

    began: Moment
    texts: list[tuple[Row, Moment, Moment]] = field(default_factory=list)
    """Whose prompts were encoded, from when to when."""
    riders: list[tuple[Row, int]] = field(default_factory=list)
    """The pictures of the step, and how many of its rows each had."""
    ended: Moment | None = None
    rows: int = 0
    most_rows: int = 0
    cost: float = 1.0  # what a row weighs, in rows of the native shape
    text_s: float = 0.0
    step_s: float = 0.0
    is_over: bool = False

    @property
    def asks_nothing(self) -> bool:
        return not (self.texts or self.riders)

    def end(self) -> None:
        """Waits for the device, and gives each picture its share.

        Raises:
            DeviceFailed: what was asked failed.
        """
        if self.is_over:
            return
        assert self.ended is not None
        self.ended.wait()
        for row, began, ended in self.texts:
            seconds = ended.since(began)
            row.usage.text_s += seconds
            self.text_s += seconds
        if self.riders:
            self.step_s = self.ended.since(self.began) - self.text_s
        for row, rows in self.riders:
            row.usage.denoise_s += self.step_s * rows / self.rows
            row.usage.row_steps += rows
            row.denoised_at = self.ended.at
        self.is_over = True
