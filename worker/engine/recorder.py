"""CUDA graphs: the thousand kernels of a U-Net call launched as one.

A small batch keeps the GPU waiting for the host, which launches kernel after kernel. A recording
replays the very same kernels, so it changes no bit of a result.
"""

import logging
import math
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

    def replay(self, arguments: tuple[Tensor, ...]) -> Tensor:
        for kept, given in zip(self.arguments, arguments, strict=True):
            kept.copy_(given)
        self.graph.replay()
        return self.output.clone()


class Pool:
    """Memory that recordings share. The first takes what it needs, and each as small as that finds
    room in it; a larger one would take as much again beside it."""

    def __init__(self) -> None:
        self._handle = torch.cuda.graph_pool_handle()

    def record(self, function: Function, arguments: tuple[Tensor, ...]) -> Recording:
        """
        Raises:
            torch.OutOfMemoryError: the device has no room for it.
            RuntimeError: the function does what cannot be recorded.
        """
        kept = tuple(argument.clone() for argument in arguments)
        graph = torch.cuda.CUDAGraph()
        # The outer one puts the stream back, which the inner one does not where recording fails.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=self._handle, capture_error_mode="thread_local"),
        ):
            output = function(*kept)
        return Recording(graph, kept, output)


class Recorder:
    """Calls a function of tensors on a GPU. The second call of the same shapes is recorded; the
    first has chosen the kernels by then. Where memory runs out, recordings give theirs back.

    Not for use by several threads at once.
    """

    def __init__(
        self, function: Function, most: int = MOST_RECORDINGS, pool: Callable[[], Pool] = Pool
    ):
        """
        Args:
            pool: makes new ones.
        """
        self._function = function
        self._most = most
        self._new_pool = pool
        self._pool = pool()
        self._recordings: OrderedDict[Shapes, Recording | None] = OrderedDict()
        self._largest = 0
        """The size of the largest call that was recorded in the pool; see `_size`."""
        self._too_large = math.inf
        """Calls of this size or more are not recorded."""

    def __call__(self, *arguments: Tensor) -> Tensor:
        try:
            return self._call(arguments)
        except torch.OutOfMemoryError:
            if not self.recorded:
                raise
            self._forget()
        return self._function(*arguments)

    @property
    def recorded(self) -> int:
        """Shapes that are replayed."""
        return sum(recording is not None for recording in self._recordings.values())

    def _call(self, arguments: tuple[Tensor, ...]) -> Tensor:
        shapes = tuple(argument.shape for argument in arguments)
        if shapes not in self._recordings:
            answer = self._function(*arguments)
            self._keep(shapes, None)
            return answer
        recording = self._recordings[shapes] or self._record(arguments)
        self._keep(shapes, recording)
        return recording.replay(arguments) if recording else self._function(*arguments)

    def _keep(self, shapes: Shapes, recording: Recording | None) -> None:
        self._recordings[shapes] = recording
        self._recordings.move_to_end(shapes)
        if len(self._recordings) > self._most:
            self._recordings.popitem(last=False)

    def _forget(self) -> None:
        """All recordings, and where they were."""
        self._recordings = OrderedDict.fromkeys(self._recordings)
        self._pool, self._largest = self._new_pool(), 0

    def _record(self, arguments: tuple[Tensor, ...]) -> Recording | None:
        """None for what cannot be recorded; it is then only called."""
        size = _size(arguments)
        if size >= self._too_large:
            return None
        if size > self._largest or not self.recorded:
            self._forget()
            self._largest = size
        try:
            return self._pool.record(self._function, arguments)
        except torch.OutOfMemoryError:
            logger.warning("no memory to record U-Net calls of %s", tuple(arguments[0].shape))
            self._too_large = size
            self._forget()
        except RuntimeError as error:
            logger.warning("U-Net calls are not recorded: %s", str(error).split("\n")[0])
            self._too_large = 0
        return None


def _size(arguments: tuple[Tensor, ...]) -> int:
    """Of the latents, which are the argument with most sides: with them goes what a call takes of
    memory."""
    return max(arguments, key=Tensor.dim).numel()
