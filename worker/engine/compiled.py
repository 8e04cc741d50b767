"""torch.compile, for the calls of one size.

Compiling fuses what lies between the matrix products and convolutions, and rounds otherwise than
the uncompiled model: the picture looks the same, its last bits do not.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Backend = Callable[..., Any]
Size = tuple[int, int]
"""The last two sides of a function's first tensor. Calls of another size are left uncompiled:
compiling takes a minute or more, in which everybody would wait."""

MOST_COUNTS = 64
"""How often torch may compile one function, for all models of this process."""


class CompiledRows:
    """A function of tensors [rows, ...], compiled once for any number of rows, or once for each."""

    def __init__(
        self,
        function: Function,
        size: Size,
        backend: str | Backend = "inductor",
        *,
        for_each_count: bool = False,
    ):
        """
        Args:
            for_each_count: each row count is compiled by itself, when it is first called; for
                calls of few counts, as `row_plan.py` makes them.
        """
        self._function = function
        self._size = size
        self._for_each_count = for_each_count
        if for_each_count:  # past its limit torch would leave further counts uncompiled
            torch._dynamo.config.recompile_limit = max(
                torch._dynamo.config.recompile_limit, MOST_COUNTS
            )
        self._compiled = torch.compile(
            function, backend=backend, dynamic=False if for_each_count else None
        )

    def __call__(self, *arguments: Tensor) -> Tensor:
        if _size(arguments[0]) != self._size:
            return self._function(*arguments)
        if not self._for_each_count:
            if len(arguments[0]) == 1:  # which torch would compile apart
                return self(*(torch.cat([argument, argument]) for argument in arguments))[:1]
            for argument in arguments:
                torch._dynamo.mark_dynamic(argument, 0)
        answer: Tensor = self._compiled(*arguments)
        return answer


class CompiledOneByOne:
    """A function of a tensor [rows, ...], compiled for one row and called for each by itself: for
    one that a single row keeps busy, as it does a VAE's decoder."""

    def __init__(self, function: Function, size: Size, backend: str | Backend = "inductor"):
        self._function = function
        self._size = size
        self._compiled = torch.compile(function, backend=backend, dynamic=False)

    def __call__(self, rows: Tensor) -> Tensor:
        if _size(rows) != self._size:
            return self._function(rows)
        return torch.cat([self._compiled(row[None]) for row in rows])


def _size(tensor: Tensor) -> Size:
    height, width = tensor.shape[-2:]
    return height, width
