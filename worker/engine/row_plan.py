"""From any number of rows to calls of a few fixed row counts."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Size = tuple[int, int]
"""The last two sides of a function's first tensor."""


class RowPlan:
    """Which calls take a number of rows, if each call has one of these row counts.

    Until the counts have been timed, what is left over is padded to the next count; from then on
    the calls are those that take least time together, such as 16 and 2 for 18 rows.
    """

    def __init__(self, counts: tuple[int, ...]):
        self.counts = tuple(sorted(counts))
        self._seconds: dict[int, float] = {}
        self._known: dict[int, tuple[int, ...]] = {}

    def learn(self, seconds: Mapping[int, float]) -> None:
        """
        Args:
            seconds: how long a call takes, for each of the counts.
        """
        self._seconds = {count: seconds[count] for count in self.counts}
        self._known.clear()

    def calls(self, rows: int) -> tuple[int, ...]:
        """The row counts of the calls, the largest first; together at least `rows`."""
        if rows not in self._known:
            self._known[rows] = self._fastest(rows) if self._seconds else self._padded(rows)
        return self._known[rows]

    def _padded(self, rows: int) -> tuple[int, ...]:
        full, rest = divmod(rows, self.counts[-1])
        last = tuple(count for count in self.counts if count >= rest)[:1] if rest else ()
        return (self.counts[-1],) * full + last

    def _fastest(self, rows: int) -> tuple[int, ...]:
        """Of all covers of 1, 2, ... rows; of two that take as long, the one of fewer calls."""
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for wanted in range(1, rows + 1):
            options = []
            for count in self.counts:
                before_s, before = best[max(0, wanted - count)]
                options.append((before_s + self._seconds[count], (*before, count)))
            best.append(min(options, key=lambda option: (option[0], len(option[1]))))
        return tuple(sorted(best[rows][1], reverse=True))


PlanFor = Callable[[Size], RowPlan | None]
"""The plan of calls of a size; None where any number of rows will do."""


class PlannedRows:
    """A function of tensors [rows, ...], called with fixed row counts only.

    Rows that pad a call are copies of its last one; what comes back for them is dropped.
    """

    def __init__(self, function: Function, plan_for: PlanFor):
        self._function = function
        self._plan_for = plan_for

    def __call__(self, *arguments: Tensor) -> Tensor:
        rows, height, width = len(arguments[0]), *arguments[0].shape[-2:]
        plan = self._plan_for((height, width))
        if plan is None:
            return self._function(*arguments)
        answers, begin = [], 0
        for count in plan.calls(rows):
            answers.append(self._function(*(_cut(each, begin, count) for each in arguments)))
            begin += count
        return (answers[0] if len(answers) == 1 else torch.cat(answers))[:rows]


class OneByOne:
    """A function of a tensor [rows, ...], called for each row by itself."""

    def __init__(self, function: Function):
        self._function = function

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.cat([self._function(row[None]) for row in rows])


def fixed_plans(count: int, native: Size) -> Callable[[Size], RowPlan]:
    """Plans of one row count for each size: `count` up to the native size, and as many fewer as
    larger ones have more cells, so that no call needs more memory than a native one. It depends on
    nothing that was measured."""
    plans: dict[Size, RowPlan] = {}

    def plan_for(size: Size) -> RowPlan:
        if size not in plans:
            rows = count * native[0] * native[1] // (size[0] * size[1])
            plans[size] = RowPlan((max(1, min(count, rows)),))
        return plans[size]

    return plan_for


def buckets(most: int) -> tuple[int, ...]:
    """1, 2, 4, 8, ... and `most`."""
    powers = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return (*powers, most)


def _cut(rows: Tensor, begin: int, count: int) -> Tensor:
    """[count, ...], from the row `begin` on; the last one is repeated where they do not suffice."""
    part = rows[begin : begin + count]
    missing = count - len(part)
    if missing == 0:
        return part
    return torch.cat([part, part[-1:].expand(missing, *part.shape[1:])])
