"""Pictures whose last step was asked for, until they are pixels on the host.

A GPU decodes them beside the steps of the others; nothing waits for it but who has nothing else to
do.
"""

from collections import deque
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.errors import GenerationError
from worker.engine.batch import Row, checkpoints_of
from worker.engine.blame import blame
from worker.engine.checkpoint import Checkpoint
from worker.engine.decode import render, sound
from worker.engine.model import Model
from worker.engine.stream import Moment, Stream
from worker.engine.turn import Turn

MOST_DECODED = 8
"""Pictures per VAE call: a decoder holds far more memory per picture than the U-Net."""

MOST_BEHIND = 4
"""VAE calls that may be asked for and not be done: where the decoder is the slower one, the steps
wait for it."""

Failures = list[tuple[Row, GenerationError]]


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """One VAE call. `rows` and `latents` keep what the device still reads until it is done."""

    turn: Turn
    rows: list[Row]
    latents: Tensor  # [pictures, channels, h, w] float32 on the device
    pixels: list[Tensor]  # [height, width, 3] uint8 on the host, each on its way to it
    finite: Tensor  # [pictures] bool, likewise
    ends: dict[Hashable, Checkpoint]
    began: Moment
    ended: Moment

    @property
    def seconds(self) -> float:
        return self.ended.since(self.began)

    @property
    def pictures(self) -> list[tuple[Row, NDArray[np.uint8] | None]]:
        """Once it is done: the pixels, None where they are not finite."""
        return list(zip(self.rows, sound(self.pixels, self.finite), strict=True))


class Developer:
    """Not for use by several threads at once."""

    def __init__(self, model: Model, stream: Stream):
        self._model = model
        self._stream = stream
        self._under_way: deque[Decoding] = deque()

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    @property
    def rows(self) -> list[Row]:
        """The pictures that are here."""
        return [row for decoding in self._under_way for row in decoding.rows]

    @property
    def ends(self) -> dict[Hashable, Checkpoint]:
        """Where the pictures are that are here: after their last step."""
        return {key: end for decoding in self._under_way for key, end in decoding.ends.items()}

    def begin(self, rows: Sequence[Row], turn: Turn) -> Failures:
        """Has pictures of one shape decoded that are done with this turn. Those that cannot be come
        back: a fault halves the call and tries again, down to the picture that it belongs to.

        Raises:
            DeviceFailed: it belongs to none.
        """
        failures: Failures = []
        for first in range(0, len(rows), MOST_DECODED):
            failures += self._begin(list(rows[first : first + MOST_DECODED]), turn)
        return failures

    def _begin(self, rows: list[Row], turn: Turn) -> Failures:
        if len(self._under_way) >= MOST_BEHIND:
            self._under_way[-MOST_BEHIND].ended.wait()
        try:
            with self._stream.aside():
                self._under_way.append(self._decode(rows, turn))
            return []
        except Exception as error:
            if len(rows) == 1:
                return [(rows[0], blame(self._model, error))]
        middle = len(rows) // 2
        return self._begin(rows[:middle], turn) + self._begin(rows[middle:], turn)

    def _decode(self, rows: list[Row], turn: Turn) -> Decoding:
        began = self._stream.mark()
        latents = torch.stack([row.latents[0] for row in rows])
        pixels, finite = render(self._model, latents)
        return Decoding(
            turn=turn,
            rows=rows,
            latents=latents,
            pixels=[self._stream.download(picture) for picture in pixels],
            finite=self._stream.download(finite),
            ends=checkpoints_of(rows, self._stream),
            began=began,
            ended=self._stream.mark(),
        )

    def finished(self, *, waits: bool = False) -> list[Decoding]:
        """The calls that are done whose turn is over, in the order in which they were asked for.

        Args:
            waits: for the first of them.
        """
        if waits and self._under_way:
            self._under_way[0].ended.wait()
        done = []
        while self._under_way and self._under_way[0].turn.is_over:
            if not self._under_way[0].ended.is_past:
                break
            done.append(self._under_way.popleft())
        return done

    def wait_for(self, keys: Collection[Hashable]) -> None:
        """Until the calls with these pictures are done."""
        for decoding in self._under_way:
            if not decoding.ends.keys().isdisjoint(keys):
                decoding.ended.wait()
