"""How fast this worker is, from the steps that it makes."""

from worker.engine.picture import StepReport

KEPT = 0.98  # of what is remembered, at each step: about the latest fifty count


class Speed:
    """A moving average. One thread tells it of steps; any may read it."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._seconds = 0.0
        self.row_steps_per_s: float | None = None
        """Rows of U-Net calls in a second, all work included; None before the first step."""

    def stepped(self, report: StepReport) -> None:
        if report.rows == 0:
            return
        self._rows = KEPT * self._rows + report.rows
        self._seconds = KEPT * self._seconds + report.busy_s
        self.row_steps_per_s = round(self._rows / self._seconds, 2)
