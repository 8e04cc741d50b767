"""What the device was asked for, until its outcome is told."""

from collections import deque
from collections.abc import Hashable, Sequence, Set
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from contract.errors import GenerationError, NotFinite
from worker.engine.batch import Row
from worker.engine.checkpoint import Checkpoint
from worker.engine.developer import Decoding, Developer
from worker.engine.model import Model
from worker.engine.picture import Developed, Spoiled
from worker.engine.stream import Stream
from worker.engine.turn import Turn
from worker.engine.usage import Usage


class Outcomes:
    """On a GPU a turn is over, and a picture decoded, some turns after it was asked for; on a CPU
    in the same one.

    Not for use by several threads at once.
    """

    def __init__(self, model: Model, stream: Stream):
        self._developer = Developer(model, stream)
        self._lead = stream.lead
        self._turns: deque[Turn] = deque()
        """Those that are not told of yet, in their order."""
        self._spoiled: list[tuple[Turn, Spoiled]] = []
        """Told of when the turn is over in which it happened: then all is known that they had."""
        self._developed: list[Developed] = []
        self._decode_s = 0.0
        """Of VAE calls that are not told of yet."""

    @property
    def is_empty(self) -> bool:
        told = not (self._turns or self._spoiled or self._developed)
        return told and self._developer.is_idle

    @property
    def rows(self) -> list[Row]:
        """The pictures that are being decoded."""
        return self._developer.rows

    @property
    def ends(self) -> dict[Hashable, Checkpoint]:
        """Where those are: after their last step."""
        return self._developer.ends

    def spoil(self, key: Hashable, error: GenerationError, usage: Usage, turn: Turn) -> None:
        self._spoiled.append((turn, Spoiled(key, error, usage)))

    def decode(self, rows: Sequence[Row], turn: Turn) -> None:
        """Of pictures that have had their last step with this turn. Those of one shape that come
        together share a call.

        Raises:
            DeviceFailed: a call failed, and no picture is to blame.
        """
        for _, alike in groupby(rows, key=lambda row: row.latents.shape):
            for row, error in self._developer.begin(list(alike), turn):
                self.spoil(row.picture.key, error, row.usage, turn)

    def next_over(self, turn: Turn) -> Turn:
        """The next turn that is over: on a CPU the one that was asked for just now; on a GPU, which
        is busy with that, the one before, for whose end the host waits. An empty one if none is.

        Raises:
            DeviceFailed: some of it failed.
        """
        if turn.asks_nothing:
            turn.is_over = True
        else:
            self._turns.append(turn)
        over = Turn(turn.began)
        if len(self._turns) > (self._lead if turn.riders else 0):
            over = self._turns.popleft()
            over.end()
        # Who has no step to ask for waits for a picture.
        self._take_decoded(waits=not (turn.riders or self._turns))
        return over

    def take(self) -> tuple[tuple[Developed, ...], tuple[Spoiled, ...], float]:
        """What has come of turns that are over, and the seconds of the VAE calls in it."""
        developed, self._developed = tuple(self._developed), []
        decode_s, self._decode_s = self._decode_s, 0.0
        spoiled = tuple(lost for turn, lost in self._spoiled if turn.is_over)
        self._spoiled = [each for each in self._spoiled if not each[0].is_over]
        return developed, spoiled, decode_s

    def settle(self) -> None:
        """Waits until all turns are over, so that all is known that their pictures had."""
        for turn in self._turns:
            turn.end()

    def drop(self, keys: Set[Hashable]) -> Usage:
        """Nothing will be told of these pictures. What they had comes back, for which the host
        waits."""
        had = Usage()
        here = {row.picture.key for row in self.rows} | {lost.key for _, lost in self._spoiled}
        if keys.isdisjoint(here | {made.key for made in self._developed}):
            return had
        self.settle()
        self._developer.wait_for(keys)
        self._take_decoded()
        told: list[Developed | Spoiled] = [*self._developed, *(lost for _, lost in self._spoiled)]
        for each in told:
            if each.key in keys:
                had.add(each.usage)
        self._developed = [made for made in self._developed if made.key not in keys]
        self._spoiled = [each for each in self._spoiled if each[1].key not in keys]
        return had

    def _take_decoded(self, *, waits: bool = False) -> None:
        """Sees to it that no NaN leaves as a picture."""
        for decoding in self._developer.finished(waits=waits):
            self._decode_s += decoding.seconds
            for row, pixels in decoding.pictures:
                row.usage.decode_s += decoding.seconds / len(decoding.rows)
                if pixels is None:
                    error = NotFinite("It became NaN or infinite.")
                    self.spoil(row.picture.key, error, row.usage, decoding.turn)
                else:
                    self._developed.append(_developed(row, pixels, decoding))


def _developed(row: Row, pixels: NDArray[np.uint8], decoding: Decoding) -> Developed:
    denoised_at = max(row.joined_at, row.denoised_at)
    return Developed(
        key=row.picture.key,
        pixels=pixels,
        admitted_at=row.admitted_at,
        joined_at=row.joined_at,
        denoised_at=denoised_at,
        decoded_at=max(denoised_at, decoding.ended.at),
        warnings=row.warnings,
        end=decoding.ends[row.picture.key],
        usage=row.usage,
    )
