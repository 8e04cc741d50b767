"""CUDA graphs: the thousand kernels of a U-Net call launched as one.

A small batch keeps the GPU waiting for the host, which launches kernel after kernel. A recording
replays the very same kernels, so it changes no bit of a result.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

MOST_RECORDINGS = 64
"""Row counts and sizes whose calls are kept; the memory of their activations is shared."""

Function = Callable[..., Tensor]
Shapes = tuple[torch.Size, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    graph: torch.cuda.CUDAGraph
    arguments: tuple[Tensor, ...]  # what a replay reads
    output: Tensor  # what a replay writes


class Recorder:
    """Calls a function of tensors on a GPU. The second call of the same shapes is recorded; the
    first has chosen the kernels by then.

    Not for use by several threads at once.
    """

    def __init__(self, function: Function, most: int = MOST_RECORDINGS):
        self._function = function
        self._most = most
        self._recordings: OrderedDict[Shapes, Recording | None] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._can_record = True

    def __call__(self, *arguments: Tensor) -> Tensor:
        shapes = tuple(argument.shape for argument in arguments)
        if not self._can_record or shapes not in self._recordings:
            self._keep(shapes, None)
            return self._function(*arguments)
        recording = self._recordings[shapes] or self._record(arguments)
        if recording is None:
            return self._function(*arguments)
        self._keep(shapes, recording)
        for kept, given in zip(recording.arguments, arguments, strict=True):
            kept.copy_(given)
        recording.graph.replay()
        return recording.output.clone()

    @property
    def recorded(self) -> int:
        """Shapes that are replayed."""
        return sum(recording is not None for recording in self._recordings.values())

    def _keep(self, shapes: Shapes, recording: Recording | None) -> None:
        self._recordings[shapes] = recording
        self._recordings.move_to_end(shapes)
        if len(self._recordings) > self._most:
            self._recordings.popitem(last=False)

    def _record(self, arguments: tuple[Tensor, ...]) -> Recording | None:
        """None where the function does what cannot be recorded; it is then only called."""
        kept = tuple(argument.clone() for argument in arguments)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                output = self._function(*kept)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.warning("U-Net calls are not recorded: %s", str(error).split("\n")[0])
            self._can_record = False
            return None
        return Recording(graph, kept, output)
